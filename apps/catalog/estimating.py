"""How many tokens a request can cost: a provable bound at once, or an exact count where the tokenizer is known.

Text is bounded by its bytes: the tokenizers of every provider cut UTF-8 into pieces of at least a byte each, and JSON
only ever lengthens text. What chat templates add is bounded by the margins below; they are published in the README.
"""

from collections.abc import Sequence
from functools import cache
from typing import Protocol

from apps.catalog.types import CatalogEntry, RequestFacts
from spendra.kernel.errors import ModelUnpriced

REQUEST_MARGIN = 64  # the opening of the answer, dates and formats that providers put in front
MESSAGE_MARGIN = 8  # role and separators; observed 3 to 5
TOOL_MARGIN = 16  # a definition's frame
TOOLS_MARGIN = 1_024  # the instructions that a provider adds as soon as there are tools; observed up to 804

_O200K = "o200k_base"
_CL100K = "cl100k_base"
# Only families whose vocabulary is published. The longest matching prefix counts, so gpt-4o is not taken for gpt-4.
_VOCABULARIES = {
    "gpt-5": _O200K,
    "gpt-4.5": _O200K,
    "gpt-4.1": _O200K,
    "gpt-4o": _O200K,
    "chatgpt-4o": _O200K,
    "o1": _O200K,
    "o3": _O200K,
    "o4-mini": _O200K,
    "gpt-oss": _O200K,
    "gpt-4": _CL100K,
    "gpt-3.5": _CL100K,
}


def input_bound(body: bytes, facts: RequestFacts, entry: CatalogEntry) -> int:
    """The most tokens that the prompt can have.

    Where the body does not bound it (images, files, stored state), the model's context window does; ModelUnpriced when
    the catalog doesn't know that either.
    """
    bound = len(body) + _margin(facts)
    if not facts.has_unbounded_input:
        return bound
    if entry.context_window is None:
        raise ModelUnpriced(
            f"The catalog knows no context window of {entry.provider}/{entry.model}, so a request with images, files "
            "or stored context has no upper price: send text only, or use another model.",
            param="model",
        )
    return max(bound, entry.context_window)


def output_bound(facts: RequestFacts, entry: CatalogEntry, *, default_output_tokens: int | None) -> int:
    """The most tokens of output a choice: the request's limit, the default, or the model's maximum.

    ModelUnpriced when there is none of them.
    """
    if facts.output_limit is not None:
        return facts.output_limit
    if default_output_tokens is not None:
        return default_output_tokens
    bound = entry.max_output_tokens or entry.context_window
    if bound is None:
        raise ModelUnpriced(
            f"The catalog knows no output limit of {entry.provider}/{entry.model}: set max_tokens.", param="max_tokens"
        )
    return bound


def exact_input_tokens(texts: Sequence[str], facts: RequestFacts, entry: CatalogEntry) -> int | None:
    """The tokens of the texts of a prompt (contents, names, tool definitions as JSON), plus the margins.

    None where the model's tokenizer is not published or the prompt is more than text. Loads a vocabulary at its first
    use (up to a second, 60 MB): call it off the event loop.
    """
    vocabulary = _vocabulary(entry)
    if vocabulary is None or facts.has_unbounded_input:
        return None
    counter = _counter(vocabulary)
    return sum(counter.count(text) for text in texts) + _margin(facts)


def _margin(facts: RequestFacts) -> int:
    tools = TOOLS_MARGIN + TOOL_MARGIN * facts.tool_count if facts.tool_count else 0
    return REQUEST_MARGIN + MESSAGE_MARGIN * facts.message_count + tools


def _vocabulary(entry: CatalogEntry) -> str | None:
    name = entry.model
    if entry.provider == "openrouter":
        vendor, _, name = name.partition("/")
        if vendor != "openai":
            return None
    elif entry.provider != "openai":
        return None
    families = [family for family in _VOCABULARIES if name.startswith(family)]
    return _VOCABULARIES[max(families, key=len)] if families else None


class _Counter(Protocol):
    def count(self, text: str) -> int: ...


@cache
def _counter(vocabulary: str) -> _Counter:
    # Imported at first use too: a gateway that never counts exactly stays 60 MB smaller.
    import quicktok

    counter: _Counter = quicktok.get_encoding(vocabulary)
    return counter
