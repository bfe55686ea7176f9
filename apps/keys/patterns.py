"""How a grant is written: `provider/model`, where `*` stands for any run of characters in either half."""

import re
from collections.abc import Iterable
from functools import lru_cache

from spendra.kernel.errors import Invalid

_DEFAULT_PROVIDER = "openai"
_LONGEST = 240
_PROVIDER = re.compile(r"[a-z0-9*][a-z0-9*_-]{0,39}")
# Model ids carry slashes (openrouter), colons (fine-tunes), at signs and dots: only what cannot be an id is refused.
_MODEL = re.compile(r"[A-Za-z0-9*][A-Za-z0-9*._:/@+-]*")


def normalize(text: str) -> str:
    """`gpt-4.1` → `openai/gpt-4.1`; a provider is lower case. Invalid where it cannot be a grant."""
    first, slash, rest = text.strip().partition("/")
    provider, model = (first.lower(), rest) if slash else (_DEFAULT_PROVIDER, first)
    pattern = f"{provider}/{model}"
    if not _PROVIDER.fullmatch(provider) or not _MODEL.fullmatch(model) or len(pattern) > _LONGEST:
        raise Invalid(
            f"{text!r} is no grant: write provider/model such as openai/gpt-4.1, or anthropic/* for all of one.",
            param="grants",
        )
    return pattern


def normalize_all(texts: Iterable[str]) -> list[str]:
    """Each once, in the order first named."""
    return list(dict.fromkeys(normalize(text) for text in texts))


@lru_cache(maxsize=4096)
def matcher(pattern: str) -> re.Pattern[str]:
    """Matches the `provider/model` that a pattern allows. The halves apart: a `*` of the provider's does not reach into
    the model, whose id may hold slashes itself."""
    provider, _, model = pattern.partition("/")
    return re.compile(f"{wildcard(provider, '[^/]')}/{wildcard(model)}\\Z")


def wildcard(pattern: str, anything: str = ".") -> str:
    """As a regular expression that takes no longer than the product of both lengths, whatever the stars: what stands
    between two of them is taken where it comes first, and never looked for again (an atomic group). Clients choose the
    text that is matched, beside the requests of everybody else."""
    first, *others = map(re.escape, re.sub(r"\*+", "*", pattern).split("*"))
    if not others:
        return first
    between = "".join(f"(?>{anything}*?{part})" for part in others[:-1])
    return f"{first}{between}{anything}*{others[-1]}"
