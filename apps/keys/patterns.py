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
    return re.compile(f"{_any(provider, '[^/]*')}/{_any(model, '.*')}\\Z")


def _any(half: str, anything: str) -> str:
    return anything.join(map(re.escape, half.split("*")))
