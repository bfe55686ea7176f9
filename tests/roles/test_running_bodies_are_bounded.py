"""Bodies count together from their first byte until the application answers: many admitted ones must not fill the
memory either."""

import contextlib
import time

import pytest

from tests.roles.commands import eventually
from tests.roles.serving import body_of, connected, error_code_of, exchange, read_to_end, request, serving, status_of

LIMITS = {"max_body_bytes": 100_000, "max_bodies_bytes": 250_000}
LARGE = b"x" * 100_000


@pytest.fixture
def slow(tmp_path):
    with serving(tmp_path, "slow", limits=LIMITS) as server:
        yield server


def test_what_would_pass_the_limit_is_refused_until_a_running_request_ends(slow):
    with contextlib.ExitStack() as held:
        running = [held.enter_context(connected(slow.port)) for _ in range(2)]
        for seconds, connection in zip((1, 60), running, strict=True):
            connection.sendall(request(f"/?{seconds}", method="POST", body=LARGE))
            slow.wait_for("working")
        refused = exchange(slow.port, request("/?0", method="POST", body=LARGE))
        assert (status_of(refused), error_code_of(refused)) == (503, "busy")
        assert status_of(exchange(slow.port, request("/?0", method="POST", body=b"x" * 50_000))) == 200
        assert status_of(read_to_end(running[0])) == 200
        assert status_of(exchange(slow.port, request("/?0", method="POST", body=LARGE))) == 200


def test_a_body_that_fits_no_more_is_refused_before_it_is_read_whole(slow):
    with contextlib.ExitStack() as held:
        for _ in range(2):
            held.enter_context(connected(slow.port)).sendall(request("/?60", method="POST", body=LARGE))
            slow.wait_for("working")
        upload = held.enter_context(connected(slow.port))
        upload.sendall(b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 100000\r\n\r\n" + b"x" * 60_000)
        assert status_of(upload.recv(10_000)) == 503


def test_requests_without_a_body_pass_when_it_is_full(slow):
    with contextlib.ExitStack() as held:
        for size in (100_000, 100_000, 50_000):
            held.enter_context(connected(slow.port)).sendall(request("/?60", method="POST", body=b"x" * size))
            slow.wait_for("working")
        assert status_of(exchange(slow.port, request("/?0", method="POST", body=b"x"))) == 503
        assert status_of(exchange(slow.port, request("/?0"))) == 200


def test_a_client_that_leaves_frees_nothing_while_its_request_runs(slow):
    for _ in range(2):
        with connected(slow.port) as connection:
            connection.sendall(request("/?1.5", method="POST", body=LARGE))
            slow.wait_for("working")
    time.sleep(0.2)
    assert status_of(exchange(slow.port, request("/?0", method="POST", body=LARGE))) == 503
    eventually(lambda: status_of(exchange(slow.port, request("/?0", method="POST", body=LARGE))) == 200, 5)


def test_a_stream_that_has_begun_holds_no_body_any_more(tmp_path):
    with serving(tmp_path, "ticking", limits=LIMITS) as server, contextlib.ExitStack() as held:
        for _ in range(6):
            stream = held.enter_context(connected(server.port))
            stream.sendall(request("/?100", method="POST", body=LARGE))
            assert b"tick 0" in stream.recv(10_000)


def test_what_was_refused_and_what_failed_holds_nothing(tmp_path):
    with serving(tmp_path, "fails", limits=LIMITS) as server:
        for _ in range(4):
            assert status_of(exchange(server.port, request(method="POST", body=LARGE))) == 500
            assert status_of(exchange(server.port, b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nshort")) == 400


def test_pipelined_bodies_are_counted_one_after_the_other(tmp_path):
    with serving(tmp_path, "echo", limits=LIMITS) as server, connected(server.port) as connection:
        ten = request(method="POST", body=b"x" * 90_000, close=False) * 9
        connection.sendall(ten + request(method="POST", body=b"x" * 90_000))
        assert body_of(read_to_end(connection)).count(b'"length": 90000') == 10
