"""What is wrong before there is a request: sizes, times, framing, headers. Raw bytes to a real gateway."""

import contextlib
import socket
import time

import pytest

from tests.bad_input.asking import CHAT, Answer, ask, chat, must_refuse, send
from tests.bad_input.conftest import MAX_BODY_BYTES
from tests.gateway.company import Company
from tests.roles.serving import read_to_end

FINE = chat('"max_tokens": 5')


@pytest.fixture(autouse=True)
def _nothing_is_reserved(company: Company):
    yield
    assert company.reservations() == []


def _head(company: Company, *lines: str) -> bytes:
    own = [f"POST {CHAT} HTTP/1.1", "host: gateway", f"authorization: Bearer {company.key}"]
    return "\r\n".join([*own, "content-type: application/json", *lines, "", ""]).encode("latin-1")


@contextlib.contextmanager
def _connected(company: Company):
    with socket.create_connection(("127.0.0.1", int(company.gateway_url.rpartition(":")[2])), timeout=15) as connection:
        yield connection


def test_a_body_over_the_limit_is_refused_before_one_byte_of_it_is_read(company: Company) -> None:
    answer = send(company, _head(company, f"content-length: {MAX_BODY_BYTES + 1}"))
    must_refuse(answer, 413, "request_too_large", f"{MAX_BODY_BYTES} bytes")


def test_a_chunked_body_is_refused_where_it_passes_the_limit(company: Company) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with _connected(company) as connection:
        connection.sendall(_head(company, "transfer-encoding: chunked"))
        with contextlib.suppress(ConnectionError):
            for _ in range(MAX_BODY_BYTES // 0x10000 + 2):
                connection.sendall(chunk)
        must_refuse(Answer(read_to_end(connection)), 413, "request_too_large")


def test_a_body_at_the_limit_is_read(company: Company) -> None:
    assert ask(company, b"{" + b" " * (MAX_BODY_BYTES - 1)).status == 400


def test_a_body_that_does_not_come_is_408(company: Company) -> None:
    begun = time.monotonic()
    must_refuse(send(company, _head(company, "content-length: 100") + b'{"model"'), 408, "request_timed_out")
    assert time.monotonic() - begun < 5


def test_a_body_that_drips_is_408(company: Company) -> None:
    with _connected(company) as connection:
        connection.sendall(_head(company, "transfer-encoding: chunked"))
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                connection.sendall(b"1\r\n{\r\n")
                time.sleep(0.1)
        must_refuse(Answer(read_to_end(connection)), 408, "request_timed_out")


CHUNKS = {
    "words": b"hello\r\n",
    "a negative size": b"-5\r\n{}\r\n",
    "no end": b"2\r\n{}xx\r\n0\r\n\r\n",
    "bytes": bytes(range(128, 256)) + b"\r\n",
    "an endless size": b"0" * 9000,
}


@pytest.mark.parametrize("chunks", CHUNKS.values(), ids=CHUNKS.keys())
def test_chunks_that_are_none(company: Company, chunks: bytes) -> None:
    must_refuse(send(company, _head(company, "transfer-encoding: chunked") + chunks), 400, "request_malformed")


HEADS = {
    "two lengths": "content-length: 2\r\ncontent-length: 3",
    "length and chunks": "content-length: 2\r\ntransfer-encoding: chunked",
    "another coding": "transfer-encoding: gzip",
    "a negative length": "content-length: -2",
    "no colon": "nonsense",
    "a space before the colon": "x-a : b",
    "a folded line": "x-a: b\r\n c",
    "a bare line feed": "x-a: b\nx-c: d",
    "a NUL": "x-a: b\0c",
    "an escape": "x-a: \x1b[2J",
    "bytes in a name": "x-\xe9: b",
    "two hosts": "host: other",
}


@pytest.mark.parametrize("lines", HEADS.values(), ids=HEADS.keys())
def test_header_junk(company: Company, lines: str) -> None:
    must_refuse(send(company, _head(company, lines) + FINE), 400, "request_malformed")


def test_headers_that_are_too_many_or_too_large(company: Company) -> None:
    many = [f"x-{number}: y" for number in range(200)]
    must_refuse(send(company, _head(company, *many)), 431, "headers_too_large", "more than 100 headers")
    must_refuse(send(company, _head(company, "x-large: " + "y" * 40_000)), 431, "headers_too_large", "larger than")


def test_what_is_no_http_at_all(company: Company) -> None:
    for data in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"hello\r\n",
    ):
        must_refuse(send(company, data), 400, "request_malformed")
