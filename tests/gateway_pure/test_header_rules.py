"""What passes in headers, what is kept, and what is refused."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from apps.gateway.headers import (
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    check_headers,
    client_headers,
    presented_key,
    require_json,
    upstream_headers,
)
from spendra.kernel.errors import ContentTypeUnsupported, HeadersTooLarge, KeyRejected, RequestMalformed

CREDENTIALS = (b"authorization", b"Bearer sk-provider")
KEY = "spk_test_abc_def"


def sent(*headers: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    passed = upstream_headers(headers, credentials=CREDENTIALS)
    assert passed[-2:] == [(b"accept-encoding", b"identity"), CREDENTIALS]
    return passed[:-2]


@pytest.mark.parametrize(
    "name",
    [
        *("authorization", "api-key", "x-api-key", "x-goog-api-key", "proxy-authorization", "cookie"),
        *("openai-organization", "openai-project", "host", "connection", "keep-alive", "te", "trailer", "upgrade"),
        *("transfer-encoding", "content-length", "accept-encoding", "expect", "forwarded", "x-forwarded-for"),
        *("x-forwarded-proto", "x-real-ip", "x-spendra-anything", "idempotency-key", "x-request-id", "via"),
    ],
)
def test_headers_for_us_do_not_reach_the_provider(name: str) -> None:
    assert sent((name.encode(), b"1"), (b"x-kept", b"1")) == [(b"x-kept", b"1")]


def test_other_headers_pass_as_they_came() -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"accept", b"application/json"),
        (b"user-agent", b"OpenAI/Python 2"),
        (b"x-stainless-retry-count", b"0"),
        (b"x-sandbox", b"status=429;retry-after=1"),
        (b"x-sandbox", b"again"),
    ]
    assert sent(*headers) == headers


def test_what_connection_names_stays_on_this_hop() -> None:
    assert sent((b"connection", b"close, X-Internal ,x-other"), (b"x-internal", b"1"), (b"x-other", b"1")) == []


def test_an_answer_loses_what_belongs_to_the_account_or_the_hop() -> None:
    upstream = [
        (b"content-type", b"application/json"),
        (b"x-request-id", b"req_1"),
        (b"openai-organization", b"acme"),
        (b"openai-project", b"proj_1"),
        (b"set-cookie", b"__cf_bm=1"),
        (b"transfer-encoding", b"chunked"),
        (b"connection", b"x-hop"),
        (b"x-hop", b"1"),
        (b"strict-transport-security", b"max-age=1"),
        (b"alt-svc", b"h3"),
        (b"access-control-allow-origin", b"*"),
        (b"x-spendra-cost-usd", b"0"),
        (b"x-ratelimit-remaining-requests", b"9"),
        (b"retry-after", b"2"),
    ]
    assert client_headers(upstream) == [
        (b"content-type", b"application/json"),
        (b"x-spendra-upstream-request-id", b"req_1"),
        (b"x-ratelimit-remaining-requests", b"9"),
        (b"retry-after", b"2"),
    ]


IN_AN_HOUR = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True).encode()
IN_A_MOMENT = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True).encode()


@pytest.mark.parametrize(
    "wait",
    [
        [(b"retry-after", b"61")],
        [(b"retry-after", b"7200"), (b"x-should-retry", b"true")],
        [(b"retry-after", b"2"), (b"retry-after-ms", b"60001")],
        [(b"retry-after", IN_AN_HOUR)],
        [(b"retry-after", b"9" * 400)],
    ],
)
def test_a_provider_keeps_no_client_waiting_for_more_than_a_minute(wait: list[tuple[bytes, bytes]]) -> None:
    """Some SDKs sleep all of it; this one raises the error at once."""
    assert client_headers([*wait, (b"x-kept", b"1")]) == [
        (b"x-kept", b"1"),
        (b"retry-after", b"60"),
        (b"x-should-retry", b"false"),
    ]


@pytest.mark.parametrize(
    "wait",
    [
        [(b"retry-after", b"60"), (b"x-should-retry", b"true")],
        [(b"retry-after-ms", b"59999.5")],
        [(b"retry-after", IN_A_MOMENT)],
        [(b"retry-after", b"Wed, 21 Oct 2015 07:28:00 GMT")],
        *([(b"retry-after", odd)] for odd in (b"", b"soon", b"-5", b"nan", b"\xff", b"Wed, 99 Oct 2015 07:28:00 GMT")),
    ],
)
def test_shorter_waits_and_those_that_say_nothing_pass_as_they_came(wait: list[tuple[bytes, bytes]]) -> None:
    assert client_headers(wait) == wait


def test_the_providers_length_stays_behind() -> None:
    assert client_headers([(b"content-length", b"9")]) == []


@pytest.mark.parametrize(
    "header",
    [
        (b"authorization", b"Bearer " + KEY.encode()),
        (b"authorization", b"bearer   " + KEY.encode() + b" "),
        (b"api-key", KEY.encode()),
        (b"x-api-key", KEY.encode()),
    ],
)
def test_the_key_is_read_from_each_header_that_sdks_use(header: tuple[bytes, bytes]) -> None:
    assert presented_key([(b"host", b"x"), header]) == KEY


def test_the_same_key_twice_is_one_key() -> None:
    assert presented_key([(b"authorization", b"Bearer " + KEY.encode()), (b"api-key", KEY.encode())]) == KEY


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ([], "carries no key"),
        ([(b"authorization", b"Bearer a"), (b"x-api-key", b"b")], "two different keys"),
        ([(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")], "two different keys"),
        ([(b"authorization", b"Basic YTpi")], "authorization holds no key"),
        ([(b"authorization", b"Bearer")], "authorization holds no key"),
        ([(b"authorization", b"Bearer   ")], "authorization holds no key"),
        ([(b"api-key", b"")], "api-key holds no key"),
        ([(b"api-key", b"\xff\xfe")], "no Spendra key"),
        ([(b"api-key", b"a" * 10_000)], "no Spendra key"),
    ],
)
def test_a_wrong_way_to_send_a_key_says_the_right_one(headers: list[tuple[bytes, bytes]], says: str) -> None:
    with pytest.raises(KeyRejected) as caught:
        presented_key(headers)
    assert says in caught.value.message


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-a", b"1\r\nx-b: 2")],
        [(b"x-a", b"\x00")],
        [(b"x-a", b"\x7f")],
        [(b"x a", b"1")],
        [(b"", b"1")],
        [(b"x-\xc3\xa9", b"1")],
        [(b"x" * 201, b"1")],
        [(b"x-a", b"caf\xe9")],
        [(b"x-a", "é\x01".encode())],
    ],
)
def test_header_junk_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(RequestMalformed):
        check_headers(headers)


@pytest.mark.parametrize(
    "headers", [[(b"x-a", b"1")] * (MAX_HEADERS + 1), [(b"x-a", b"1" * MAX_HEADER_BYTES)]], ids=["many", "large"]
)
def test_too_many_or_too_large_headers_are_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(HeadersTooLarge):
        check_headers(headers)


def test_usual_headers_are_no_junk() -> None:
    check_headers([(b"x-title", "Prüfung".encode()), (b"accept", b"*/*"), (b"x-empty", b""), (b"x-tab", b"a\tb")])


@pytest.mark.parametrize(
    "value", [b"application/json", b"Application/JSON; charset=UTF-8", b'application/json;charset="utf-8"; a=b']
)
def test_json_in_utf8_is_accepted(value: bytes) -> None:
    require_json([(b"content-type", value), (b"content-encoding", b"identity")])


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-type", b"text/plain")],
        [(b"content-type", b"application/jsonx")],
        [(b"content-type", b"application/json; charset=utf-16")],
        [(b"content-type", b"application/json"), (b"content-type", b"text/plain")],
        [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")],
    ],
)
def test_any_other_content_type_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(ContentTypeUnsupported):
        require_json(headers)
