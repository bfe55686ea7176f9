"""The two changes that a request's body may see on its way to the provider; every other byte stays as it came."""

import json
import re
from collections.abc import Iterator, Mapping

from apps.gateway.parsing import ChatRequest

_BEFORE_KEY = re.compile(r"[ \t\r\n,{]*")
_BEFORE_VALUE = re.compile(r"[ \t\r\n:]*")
_decode = json.JSONDecoder().raw_decode


def splice(
    request: ChatRequest,
    *,
    include_usage: bool,
    output_limit: int | None = None,
    output_limit_key: str = "max_completion_tokens",
) -> bytes:
    """The body to send: asking for usage (streams only), and with `output_limit` where one is given.

    The limit goes into the client's own key where it set one. A body that needs no change is returned as it is.
    """
    body = request.body
    if include_usage and request.stream and not request.include_usage:
        body = _ask_for_usage(body, request.data)
    if output_limit is not None and output_limit != request.output_limit:
        key = request.output_limit_key or output_limit_key
        body = _set_member(body, request.data, key, str(output_limit))
    return body


def _ask_for_usage(body: bytes, data: Mapping[str, object]) -> bytes:
    options = data.get("stream_options")
    if not isinstance(options, dict):
        return _set_member(body, data, "stream_options", '{"include_usage":true}')
    text = body.decode()
    start, end = _find(text, "stream_options")
    changed = _set_member(text[start:end].encode(), options, "include_usage", "true")
    return (text[:start] + changed.decode() + text[end:]).encode()


def _set_member(body: bytes, data: Mapping[str, object], key: str, value: str) -> bytes:
    """`body`, which reads as `data`, with the member `key` replaced or put first."""
    if key not in data:
        inside = body.index(b"{") + 1
        member = f'"{key}":{value}{"," if data else ""}'
        return body[:inside] + member.encode() + body[inside:]
    text = body.decode()
    start, end = _find(text, key)
    return (text[:start] + value + text[end:]).encode()


def _find(text: str, key: str) -> tuple[int, int]:
    """Where the value of the outermost object's member `key` stands. The text was validated: it is there, once."""
    return next((start, end) for name, start, end in _members(text) if name == key)


def _members(text: str) -> Iterator[tuple[str, int, int]]:
    position = _skip(_BEFORE_KEY, text, 0)
    while text[position] == '"':
        key, position = _decode(text, position)
        start = _skip(_BEFORE_VALUE, text, position)
        _, end = _decode(text, start)
        yield key, start, end
        position = _skip(_BEFORE_KEY, text, end)


def _skip(gap: re.Pattern[str], text: str, position: int) -> int:
    match = gap.match(text, position)
    return match.end() if match else position
