import contextlib
import re

import pytest

from tests.roles.serving import (
    body_of,
    connected,
    error_code_of,
    exchange,
    read_to_end,
    request,
    serving,
    status_of,
)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("shapes"), "shapes") as process:
        yield process


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("failing"), "fails") as process:
        yield process


def test_an_answer_in_one_piece_gets_its_length_and_no_server_name(shapes):
    answer = exchange(shapes.port, request("/hello"))
    assert b"\r\ncontent-length: 6\r\n" in answer
    assert body_of(answer) == b"/hello"
    assert b"server:" not in answer.lower()


def test_an_answer_in_parts_is_chunked_once_and_ends(shapes):
    answer = exchange(shapes.port, request("/parts"))
    assert answer.lower().count(b"transfer-encoding") == 1
    assert body_of(answer) == b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n"


def test_an_answer_in_parts_to_http_1_0_ends_with_the_connection(shapes):
    answer = exchange(shapes.port, b"GET /parts HTTP/1.0\r\n\r\n")
    assert body_of(answer) == b"one two"


def test_head_and_204_carry_no_body(shapes):
    head = exchange(shapes.port, request("/hello", method="HEAD"))
    assert (status_of(head), body_of(head)) == (200, b"")
    nothing = exchange(shapes.port, request("/nothing"))
    assert (status_of(nothing), body_of(nothing)) == (204, b"")
    assert b"content-length" not in nothing


def test_requests_sent_at_once_are_answered_in_order(shapes):
    paths = [f"/number-{number}" for number in range(2000)]
    with connected(shapes.port) as connection:
        connection.sendall(b"".join(request(path, close=path == paths[-1]) for path in paths))
        answers = read_to_end(connection)
    assert re.findall(rb"/number-\d+", answers) == [path.encode() for path in paths]
    assert answers.count(b"HTTP/1.1 200") == 2000


def test_an_answer_shorter_than_its_length_is_visibly_broken(shapes):
    answer = exchange(shapes.port, request("/short", close=False))
    assert b"content-length: 10" in answer
    assert body_of(answer) == b"four"


def test_an_application_that_fails_or_says_nothing_is_a_500_in_the_shape_of_the_api(shapes, failing):
    for answer in (exchange(failing.port, request("/")), exchange(shapes.port, request("/silent"))):
        assert (status_of(answer), error_code_of(answer)) == (500, "internal_error")
    assert "deliberate" in failing.errors


def test_a_failure_in_the_middle_of_an_answer_breaks_the_connection(failing):
    received = b""
    with connected(failing.port) as connection, contextlib.suppress(ConnectionResetError):
        connection.sendall(request("/midway", close=False))
        received = read_to_end(connection)
    assert received == b"" or body_of(received) == b"some"


def test_a_line_break_in_a_header_is_never_sent(failing):
    answer = exchange(failing.port, request("/injected"))
    assert status_of(answer) == 500
    assert b"set-cookie" not in answer
