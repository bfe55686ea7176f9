"""Parsing of a request's head. Strict: what two parsers could read differently is refused, never repaired."""

import re
from dataclasses import dataclass

_REQUEST_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) (?:[Hh][Tt][Tt][Pp][Ss]?://[^/?#\x00- \x7f-\xff]*)?(/[!-~]*) HTTP/1\.([01])"
)
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# Control characters except tab, CR and LF, whose places are checked by counting.
_FORBIDDEN = bytes(set(range(0x20)) - set(b"\t\r\n")) + b"\x7f"

# Clients use few names; each is checked and lower-cased once. Bounded, because names are the client's.
_KNOWN_NAMES: dict[bytes, bytes] = {}
_KNOWN_NAMES_LIMIT = 1000
_FRAMING = frozenset({b"host", b"connection", b"content-length", b"transfer-encoding", b"expect"})


class HeadRefused(Exception):
    """The head cannot be served; `status` and `code` are what the client is told."""

    status = 400
    code = "request_malformed"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class HeadTooLarge(HeadRefused):
    status = 431
    code = "headers_too_large"


@dataclass(slots=True)
class Head:
    method: str
    path: bytes
    query: bytes
    is_http_1_1: bool
    headers: list[tuple[bytes, bytes]]
    content_length: int = 0
    is_chunked: bool = False
    is_persistent: bool = True
    expects_continue: bool = False


def parse_head(data: bytes, *, max_headers: int) -> Head:
    """`data` is the head without its closing empty line."""
    if len(data.translate(None, _FORBIDDEN)) != len(data):
        raise HeadRefused("The head of the request has a forbidden character.")
    request_line, *lines = data.split(b"\r\n")
    if data.count(b"\r") != len(lines) or data.count(b"\n") != len(lines):
        raise HeadRefused("A line of the request's head does not end with CR LF.")
    if len(lines) > max_headers:
        raise HeadTooLarge(f"The request has more than {max_headers} headers.")
    match = _REQUEST_LINE.fullmatch(request_line)
    if match is None:
        raise HeadRefused("The request line is malformed.")
    method, target, minor = match.groups()
    path, _, query = target.partition(b"?")
    is_http_1_1 = minor == b"1"
    headers, framing = _parse_headers(lines)
    if b"_" in data:
        # Underscore and hyphen make the same WSGI name: a client could overwrite what a proxy set (CVE-2015-0219).
        headers = [header for header in headers if b"_" not in header[0]]
    head = Head(method.decode("ascii"), path, query, is_http_1_1, headers)
    _apply_framing(head, framing)
    return head


def check_first_line(data: bytes) -> None:
    """Refuses at once what can never become a request, instead of waiting for the rest of its head."""
    line, line_break, _ = data.partition(b"\n")
    if line_break and (not line.endswith(b"\r") or _REQUEST_LINE.fullmatch(line[:-1]) is None):
        raise HeadRefused("The request line is malformed.")


def _parse_headers(lines: list[bytes]) -> tuple[list[tuple[bytes, bytes]], dict[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    framing: dict[bytes, bytes] = {}
    for line in lines:
        raw_name, colon, value = line.partition(b":")
        if not colon:
            raise HeadRefused("A header has no colon.")
        name = _KNOWN_NAMES.get(raw_name) or _checked_name(raw_name)
        value = value.strip(b" \t")
        if name in _FRAMING:
            if name in framing and name != b"connection":
                raise HeadRefused(f"The header {name.decode('ascii')} came twice.")
            framing[name] = value
        headers.append((name, value))
    return headers, framing


def _checked_name(raw_name: bytes) -> bytes:
    if _NAME.fullmatch(raw_name) is None:
        raise HeadRefused("A header has an invalid name.")
    name = raw_name.lower()
    if len(_KNOWN_NAMES) < _KNOWN_NAMES_LIMIT:
        _KNOWN_NAMES[raw_name] = name
    return name


def _apply_framing(head: Head, framing: dict[bytes, bytes]) -> None:
    if head.is_http_1_1 and not framing.get(b"host"):
        raise HeadRefused("The header host is missing.")
    head.is_persistent = head.is_http_1_1 and b"close" not in framing.get(b"connection", b"").lower()
    _apply_length(head, framing.get(b"content-length"), framing.get(b"transfer-encoding"))
    head.expects_continue = head.is_http_1_1 and framing.get(b"expect", b"").lower() == b"100-continue"


def _apply_length(head: Head, length: bytes | None, coding: bytes | None) -> None:
    if length is not None:
        if not length.isdigit() or len(length) > 18:
            raise HeadRefused("The header content-length is not a number.")
        head.content_length = int(length)
    if coding is not None:
        if coding.lower() != b"chunked" or length is not None or not head.is_http_1_1:
            raise HeadRefused("Only transfer-encoding: chunked, without a content-length, is understood.")
        head.is_chunked = True
