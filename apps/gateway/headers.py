"""What may pass in the headers of a request and of its answer. Names are lower case, as ASGI gives them."""

import re
from collections.abc import Sequence
from email.utils import parsedate_to_datetime

from spendra.kernel import clock
from spendra.kernel.errors import ContentTypeUnsupported, HeadersTooLarge, KeyRejected, RequestMalformed
from spendra.kernel.money import format_usd

Header = tuple[bytes, bytes]

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
MAX_KEY_LENGTH = 512
# Some SDKs sleep all of it, uninterruptibly: docs/decisions/0009-how-long-a-client-is-told-to-wait.md
LONGEST_RETRY_AFTER_SECONDS = 60

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]{1,200}")
_VALUE = re.compile(rb"[\t\x20-\x7e]*")
_VALUE_BEYOND_ASCII = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_KEY_HEADERS = frozenset({b"authorization", b"api-key", b"x-api-key"})
_UTF8 = (b"charset=utf-8", b'charset="utf-8"', b"charset=utf8")

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_KEPT_FROM_PROVIDER = (
    _HOP_BY_HOP
    | _KEY_HEADERS
    | {
        b"accept-encoding",
        b"cf-connecting-ip",
        b"content-length",
        b"cookie",
        b"expect",
        b"forwarded",
        b"host",
        b"idempotency-key",
        b"openai-organization",
        b"openai-project",
        b"true-client-ip",
        b"via",
        b"x-goog-api-key",
        b"x-goog-user-project",
        b"x-real-ip",
        b"x-request-id",
    }
)
_WAITS = frozenset({b"retry-after", b"retry-after-ms"})
# What describes the provider's host or the organization's account there rather than the answer.
_KEPT_FROM_CLIENT = _HOP_BY_HOP | {
    b"alt-svc",
    b"clear-site-data",
    b"content-security-policy",
    b"date",
    b"nel",
    b"openai-organization",
    b"openai-project",
    b"report-to",
    b"server",
    b"set-cookie",
    b"strict-transport-security",
    b"via",
    b"www-authenticate",
}


def check_headers(headers: Sequence[Header]) -> None:
    """HeadersTooLarge where they are too many or too large, RequestMalformed where they hold characters that a header
    can't, or are not in UTF-8."""
    if len(headers) > MAX_HEADERS:
        raise HeadersTooLarge(f"The request has more than {MAX_HEADERS} headers. Send fewer.")
    if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        raise HeadersTooLarge(f"The request's headers are larger than {MAX_HEADER_BYTES:,} bytes. Send shorter ones.")
    for name, value in headers:
        if not _NAME.fullmatch(name):
            raise RequestMalformed("The name of a header holds characters that it can't. Send only valid headers.")
        if not _VALUE.fullmatch(value):
            _check_beyond_ascii(name, value)


def _check_beyond_ascii(name: bytes, value: bytes) -> None:
    """The client that calls providers writes text as UTF-8: what is not could not pass on as it came."""
    if not _VALUE_BEYOND_ASCII.fullmatch(value):
        raise RequestMalformed(f"The header {name.decode()} holds control characters. Send it without them.")
    if name in _KEPT_FROM_PROVIDER:
        return
    try:
        value.decode()
    except UnicodeDecodeError:
        raise RequestMalformed(f"The header {name.decode()} is not in UTF-8. Send it in UTF-8 or ASCII.") from None


def require_json(headers: Sequence[Header]) -> None:
    """ContentTypeUnsupported unless the body is said to be JSON in UTF-8, not compressed."""
    types = [value.lower() for name, value in headers if name == b"content-type"]
    if not types or not all(map(_is_json, types)):
        raise ContentTypeUnsupported("The body must be JSON in UTF-8. Send the header content-type: application/json.")
    encodings = {value.strip().lower() for name, value in headers if name == b"content-encoding"}
    if encodings - {b"identity"}:
        raise ContentTypeUnsupported("The body is compressed, which is not read. Send it without content-encoding.")


def _is_json(content_type: bytes) -> bool:
    media_type, *parameters = [part.strip() for part in content_type.split(b";")]
    charsets = [parameter for parameter in parameters if parameter.startswith(b"charset")]
    return media_type == b"application/json" and all(charset in _UTF8 for charset in charsets)


def presented_key(headers: Sequence[Header]) -> str:
    """The one key of the request; KeyRejected where there is none, or two that differ."""
    keys = {_key_in(name, value) for name, value in headers if name in _KEY_HEADERS}
    if not keys:
        raise KeyRejected(
            "The request carries no key. Send your Spendra key, which begins with spk_, as Authorization: Bearer <key>."
        )
    if len(keys) > 1:
        raise KeyRejected("The request carries two different keys. Send only one, as Authorization: Bearer <key>.")
    return keys.pop()


def _key_in(name: bytes, value: bytes) -> str:
    scheme, _, key = value.strip().partition(b" ") if name == b"authorization" else (b"bearer", b"", value.strip())
    key = key.strip()
    if scheme.lower() != b"bearer" or not key:
        raise KeyRejected(
            f"The header {name.decode()} holds no key. Send your Spendra key as Authorization: Bearer <key>."
        )
    if len(key) > MAX_KEY_LENGTH or not key.isascii():
        raise KeyRejected(f"The header {name.decode()} holds no Spendra key: those are short and begin with spk_.")
    return key.decode()


def upstream_headers(headers: Sequence[Header], *, credentials: Header) -> list[Header]:
    """What the provider gets: the client's own headers but those for us, and the organization's credentials.

    No `host` and no `content-length`: the HTTP client sets both. The answer is wanted uncompressed, to read its usage.
    """
    named = _named_in_connection(headers)
    passed = [header for header in headers if _passes_upstream(header[0], named)]
    return [*passed, (b"accept-encoding", b"identity"), credentials]


def _passes_upstream(name: bytes, named_in_connection: frozenset[bytes]) -> bool:
    return (
        name not in _KEPT_FROM_PROVIDER
        and name not in named_in_connection
        and not name.startswith((b"x-forwarded-", b"x-spendra-"))
    )


def client_headers(upstream: Sequence[Header]) -> list[Header]:
    """What the client gets of the provider's headers; the provider's request id under a name of its own, and no length:
    the caller sets that of what it passes on."""
    named = _named_in_connection(upstream)
    passed = []
    for name, value in upstream:
        if name in _KEPT_FROM_CLIENT or name in named or name.startswith((b"x-spendra-", b"access-control-")):
            continue
        if name == b"content-length":
            continue
        passed.append((b"x-spendra-upstream-request-id" if name == b"x-request-id" else name, value))
    return _with_a_short_wait(passed)


def _with_a_short_wait(answer: list[Header]) -> list[Header]:
    """Who would have to wait for longer gives up at once."""
    if not any(name in _WAITS and _wait_seconds(name, value) > LONGEST_RETRY_AFTER_SECONDS for name, value in answer):
        return answer
    others = [header for header in answer if header[0] not in _WAITS and header[0] != b"x-should-retry"]
    return [*others, (b"retry-after", b"%d" % LONGEST_RETRY_AFTER_SECONDS), (b"x-should-retry", b"false")]


def _wait_seconds(name: bytes, value: bytes) -> float:
    """Of seconds, of milliseconds, or until a date. 0 where it is none of them."""
    try:
        if name == b"retry-after-ms":
            return float(value) / 1000
        if value.isdigit():
            return int(value)
        return (parsedate_to_datetime(value.decode()) - clock.now()).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0


def is_event_stream(upstream: Sequence[Header]) -> bool:
    """Also where the answer does not say what it is."""
    types = [value.strip().lower() for name, value in upstream if name == b"content-type"]
    return not types or types[0].startswith(b"text/event-stream")


def upstream_request_id(upstream: Sequence[Header]) -> list[Header]:
    """The provider's request id alone, for an answer of our own."""
    return [(b"x-spendra-upstream-request-id", value) for name, value in upstream if name == b"x-request-id"]


def governed_headers(reservation_id: str, booked_nanos: int | None) -> list[Header]:
    """Of an answer of our own to a call that was reserved, and to one that was booked all the same."""
    found = [(b"x-spendra-reservation", reservation_id.encode())] if reservation_id else []
    return found + ([] if booked_nanos is None else [cost_header(booked_nanos)])


def cost_header(nanos: int) -> Header:
    return b"x-spendra-cost-usd", format_usd(nanos).encode()


def _named_in_connection(headers: Sequence[Header]) -> frozenset[bytes]:
    """`Connection: close, x-internal` makes x-internal a matter of this one hop."""
    values = [value for name, value in headers if name == b"connection"]
    return frozenset(name.strip().lower() for value in values for name in value.split(b","))
