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
        body = _set_member(body, request.data, key, b"%d" % output_limit)
    return body


def _ask_for_usage(body: bytes, data: Mapping[str, object]) -> bytes:
    options = data.get("stream_options")
    if not isinstance(options, dict):
        return _set_member(body, data, "stream_options", b'{"include_usage":true}')
    start, end = _find(body, "stream_options")
    return body[:start] + _set_member(body[start:end], options, "include_usage", b"true") + body[end:]


def _set_member(body: bytes, data: Mapping[str, object], key: str, value: bytes) -> bytes:
    """`body`, which reads as `data`, with the member `key` replaced or put first."""
    if key in data:
        start, end = _find(body, key)
        return body[:start] + value + body[end:]
    inside = body.index(b"{") + 1
    member = b'"%b":%b%b' % (key.encode(), value, b"," if data else b"")
    return body[:inside] + member + body[inside:]


def _find(body: bytes, key: str) -> tuple[int, int]:
    """Where the value of the outermost object's member `key` stands. The body was validated: it is there, once.

    Read as Latin-1, so that a character is a byte: what JSON is made of is ASCII, and so is `key`.
    """
    return next((start, end) for name, start, end in _members(body.decode("latin-1")) if name == key)


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
