import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spendra.roles.http_head import HeadRefused, parse_head

WORDS = b"GET POST / /a?b HTTP/1.1 HTTP/1.0 host x_y : content-length transfer-encoding chunked connection close 12"
PIECES = st.sampled_from([*WORDS.split(), b" ", b"\r\n", b"\r", b"\n", b"\t", b"\x00", b"\xff"])
VALUES = st.from_regex(rb"[ -~]{0,30}", fullmatch=True)
NAMES = st.from_regex(rb"[a-z-]{1,12}", fullmatch=True)


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=30).map(b"".join)))
def test_any_bytes_are_either_a_head_or_refused(data):
    with contextlib.suppress(HeadRefused):
        head = parse_head(data, max_headers=20)
        assert head.path.startswith(b"/")
        assert all(b"\n" not in name + value and b"\r" not in name + value for name, value in head.headers)


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES)))
def test_headers_come_out_in_order_lower_case_and_stripped(headers):
    headers = [(b"x-" + name, value) for name, value in headers[:15]]
    lines = [b"%b:%b" % (name.title(), value) for name, value in headers]
    head = parse_head(b"\r\n".join([b"GET / HTTP/1.1", b"Host: a", *lines]), max_headers=20)
    assert head.headers == [(b"host", b"a"), *((name, value.strip()) for name, value in headers)]


@pytest.mark.parametrize(
    ("line", "connection", "persistent"),
    [
        (b"GET / HTTP/1.1", b"keep-alive", True),
        (b"GET / HTTP/1.1", b"Close", False),
        (b"GET / HTTP/1.1", b"x-hop, close", False),
        (b"GET / HTTP/1.0", b"keep-alive", False),
    ],
)
def test_the_connection_stays_open_only_where_both_sides_know_how(line, connection, persistent):
    head = parse_head(line + b"\r\nhost: a\r\nconnection: " + connection, max_headers=20)
    assert head.is_persistent is persistent
