import json
import time

import pytest

from tests.roles.serving import body_of, connected, error_code_of, exchange, read_to_end, request, serving, status_of

CHUNKED = b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n"
MALFORMED = {
    "no request line": b"GARBAGE\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nhost: t\n\n",
    "no path": b"GET HTTP/1.1\r\nhost: t\r\n\r\n",
    "relative path": b"GET index HTTP/1.1\r\nhost: t\r\n\r\n",
    "space in path": b"GET /a b HTTP/1.1\r\nhost: t\r\n\r\n",
    "other protocol": b"GET / HTTP/2.0\r\nhost: t\r\n\r\n",
    "bytes in path": b"GET /\xff HTTP/1.1\r\nhost: t\r\n\r\n",
    "NUL in path": b"GET /\x00 HTTP/1.1\r\nhost: t\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nhost: t\r\nnonsense\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nhost: t\r\nx-a : b\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\nhost: t\r\n: b\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\nhost: t\r\nx-a: b\r\n c\r\n\r\n",
    "NUL in header": b"GET / HTTP/1.1\r\nhost: t\r\nx-a: b\x00c\r\n\r\n",
    "bare CR in header": b"GET / HTTP/1.1\r\nhost: t\r\nx-a: b\rc\r\n\r\n",
    "bare LF in header": b"GET / HTTP/1.1\r\nhost: t\r\nx-a: b\nx-b: c\r\n\r\n",
    "length in letters": b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: ten\r\n\r\n",
    "negative length": b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: -1\r\n\r\n",
    "huge length": b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: " + b"9" * 5000 + b"\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx",
    "length and chunks": CHUNKED.replace(b"host: t", b"host: t\r\ncontent-length: 1") + b"0\r\n\r\n",
    "unknown coding": b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk size in words": CHUNKED + b"nonsense\r\n",
    "negative chunk size": CHUNKED + b"-5\r\nhello\r\n",
    "no end of chunk": CHUNKED + b"5\r\nhelloworld\r\n",
    "endless chunk size": CHUNKED + b"0" * 5000,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("malformed"), "echo") as process:
        yield process


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_bytes_get_a_clear_400_and_leave_no_traceback(server, data):
    answer = exchange(server.port, data)
    assert (status_of(answer), error_code_of(answer)) == (400, "request_malformed")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer
    assert "Traceback" not in server.errors


def test_a_header_with_an_underscore_does_not_reach_the_application(server):
    answer = exchange(server.port, request(headers=["x_forwarded_for: 1.2.3.4", "x-good: 1"]))
    names = [name for name, _ in json.loads(body_of(answer))["headers"]]
    assert "x-good" in names
    assert "x_forwarded_for" not in names


def test_what_a_request_says_reaches_the_application(server):
    answer = exchange(
        server.port, request("/a%20b?c=%2F", method="PUT", headers=["X-Mixed:  spaced \t"], body=b"hello")
    )
    report = json.loads(body_of(answer))
    assert (report["method"], report["path"], report["query"]) == ("PUT", "/a b", "c=%2F")
    assert report["start"] == "hello"
    assert ["x-mixed", "spaced"] in report["headers"]


def test_the_absolute_form_of_a_target_is_understood(server):
    answer = exchange(server.port, request("http://proxy.example/a?b=c"))
    assert (json.loads(body_of(answer))["path"], json.loads(body_of(answer))["query"]) == ("/a", "b=c")


def test_a_chunked_body_arrives_whole_however_it_is_split(server):
    data = (
        CHUNKED.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
        + b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nx: y\r\n\r\n"
    )
    for split in range(1, len(data), 5):
        with connected(server.port) as connection:
            connection.sendall(data[:split])
            time.sleep(0.005)
            connection.sendall(data[split:])
            assert json.loads(body_of(read_to_end(connection)))["start"] == "hello world"
