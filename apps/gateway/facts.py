"""What a request's content says about its price: whether its bytes bound the prompt, audio, caching, web searches."""

from collections.abc import Iterator, Mapping, Sequence

from apps.catalog.types import RequestFacts

Json = Mapping[str, object]

# Each makes the provider read something that isn't in the body, or answer with another model.
_UNBOUNDED_MEMBERS = frozenset(
    {
        "background",
        "cached_content",
        "container",
        "conversation",
        "extra_body",
        "google",
        "mcp_servers",
        "plugins",
        "previous_response_id",
        "prompt",
        "web_search_options",
    }
)
_CACHING_MEMBERS = frozenset({"cache_control", "prompt_cache_options", "prompt_cache_retention"})
# Each may bring hosted tools that it does not name here.
_MEMBERS_WITH_TOOLS = frozenset({"extra_body", "google", "mcp_servers", "plugins", "prompt"})
# More than any request has. Rules compare each of them with each of their patterns.
_MOST_TOOLS = 64
_LONGEST_TOOL = 100
_TEXT_PART_MEMBERS = frozenset({"type", "text", "refusal", "cache_control"})


def gather(
    data: Json, messages: Sequence[Json], *, n: int, output_limit: int | None, service_tier: str | None
) -> RequestFacts:
    parts = [part for message in messages for part in _parts(message)]
    tools = _objects(data.get("tools"))
    return RequestFacts(
        message_count=len(messages),
        tool_count=len(tools) + len(_objects(data.get("functions"))),
        n=n,
        output_limit=None if _is_set(data, "prediction") else output_limit,  # rejected predictions are billed as output
        has_unbounded_input=_is_unbounded(data, parts, tools),
        has_audio=_asks_for_audio(data) or any(map(_is_audio, parts)),
        asks_for_caching=_asks_for_caching(data, messages, parts, tools),
        service_tier=service_tier,
        web_searches=n if _searches_the_web(data) else 0,
    )


def hosted_tools(data: Json) -> frozenset[str] | None:
    """The types of the tools that the provider would run itself; None where they can't be told."""
    if _sets_any(data, _MEMBERS_WITH_TOOLS):
        return None
    hosted = {"web_search"} if _searches_the_web(data) else set()
    for tool in _objects(data.get("tools")):
        kind = tool.get("type")
        if not isinstance(kind, str) or len(kind) > _LONGEST_TOOL:
            return None
        hosted.add(kind)
    hosted -= {"function", "custom"}
    return frozenset(hosted) if len(hosted) <= _MOST_TOOLS else None


def _parts(message: Json) -> Iterator[Json]:
    """The parts of a message that may be more than text; one that is no object comes as an empty one."""
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        yield from _objects(content)
    if _is_set(message, "audio"):  # an earlier spoken answer, named by its id
        yield {"type": "audio"}


def _objects(value: object) -> list[Json]:
    """The objects of a list. Anything else stands as an empty object, of which nothing can be known."""
    if value is None:
        return []
    if not isinstance(value, list):
        return [{}]
    return [item if isinstance(item, dict) else {} for item in value]


def _is_unbounded(data: Json, parts: Sequence[Json], tools: Sequence[Json]) -> bool:
    return (
        _sets_any(data, _UNBOUNDED_MEMBERS)
        or not all(map(_is_text, parts))
        or any(tool.get("type") not in ("function", "custom") for tool in tools)
    )


def _is_text(part: Json) -> bool:
    return part.get("type") in ("text", "refusal") and part.keys() <= _TEXT_PART_MEMBERS


def _asks_for_audio(data: Json) -> bool:
    modalities = data.get("modalities")
    return _is_set(data, "audio") or (isinstance(modalities, list) and "audio" in modalities)


def _is_audio(part: Json) -> bool:
    return part.get("type") in ("input_audio", "audio") or "input_audio" in part


def _asks_for_caching(data: Json, *nested: Sequence[Json]) -> bool:
    return _sets_any(data, _CACHING_MEMBERS) or any("cache_control" in item for items in nested for item in items)


def _searches_the_web(data: Json) -> bool:
    """Search models do so at each request, also without the option."""
    return _is_set(data, "web_search_options") or "-search" in str(data.get("model"))


def _sets_any(data: Json, names: frozenset[str]) -> bool:
    return not names.isdisjoint(data) and any(_is_set(data, name) for name in names)


def _is_set(data: Json, name: str) -> bool:
    """An empty object counts: `web_search_options: {}` searches."""
    return data.get(name) not in (None, False)
