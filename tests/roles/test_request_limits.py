import contextlib
import threading
import time

import pytest

from tests.roles.serving import body_of, connected, error_code_of, exchange, read_to_end, request, serving, status_of

HEAD = "POST / HTTP/1.1\r\nhost: test\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    limits = {
        "max_body_bytes": 100_000,
        "body_seconds": 1,
        "head_seconds": 1,
        "idle_seconds": 1,
        "max_head_bytes": 8192,
        "max_headers": 20,
    }
    with serving(tmp_path_factory.mktemp("limits"), "echo", limits=limits) as process:
        yield process


def test_a_declared_body_over_the_limit_is_refused_before_one_byte_of_it_is_sent(server):
    answer = exchange(server.port, f"{HEAD}content-length: 100001\r\n\r\n".encode())
    assert (status_of(answer), error_code_of(answer)) == (413, "request_too_large")


def test_a_body_at_the_limit_is_served(server):
    assert b'"length": 100000' in exchange(server.port, request(method="POST", body=b"x" * 100_000))


def test_a_chunked_body_is_cut_where_it_passes_the_limit(server):
    with connected(server.port) as connection:
        connection.sendall(f"{HEAD}transfer-encoding: chunked\r\n\r\n".encode())
        connection.sendall((b"2710\r\n" + b"x" * 10_000 + b"\r\n") * 11)
        answer = connection.recv(65536)
    assert (status_of(answer), error_code_of(answer)) == (413, "request_too_large")


def test_a_chunked_body_whose_last_chunk_passes_the_limit_is_refused(server):
    chunk = b"%x\r\n" % 100_001 + b"x" * 100_001 + b"\r\n0\r\n\r\n"
    assert status_of(exchange(server.port, f"{HEAD}transfer-encoding: chunked\r\n\r\n".encode() + chunk)) == 413


def test_chunks_of_one_byte_cannot_make_a_body_many_times_its_size(server):
    answer = exchange(server.port, f"{HEAD}transfer-encoding: chunked\r\n\r\n".encode() + b"1\r\nx\r\n" * 60_000)
    assert status_of(answer) == 413


def test_a_client_that_sends_all_of_a_far_too_large_body_still_reads_the_answer(server):
    with connected(server.port) as connection:
        connection.sendall(f"{HEAD}content-length: 3000000\r\n\r\n".encode())
        for _ in range(30):
            connection.sendall(b"x" * 100_000)
        answer = read_to_end(connection)
    assert status_of(answer) == 413


def test_a_body_that_does_not_come_in_time_is_timed_out(server):
    begun = time.monotonic()
    answer = exchange(server.port, f"{HEAD}content-length: 10\r\n\r\nabc".encode())
    assert (status_of(answer), error_code_of(answer)) == (408, "request_timed_out")
    assert time.monotonic() - begun < 4


def test_a_body_that_drips_is_timed_out_all_the_same(server):
    with connected(server.port) as connection:
        connection.sendall(f"{HEAD}content-length: 100\r\n\r\n".encode())
        stop = threading.Event()

        def drip():
            while not stop.wait(0.2):
                connection.sendall(b"x")

        dripping = threading.Thread(target=drip, daemon=True)
        dripping.start()
        answer = connection.recv(65536)
        stop.set()
        dripping.join()
    assert status_of(answer) == 408


def test_a_head_that_does_not_end_is_timed_out(server):
    answer = exchange(server.port, b"POST / HTTP/1.1\r\nhost: te")
    assert (status_of(answer), error_code_of(answer)) == (408, "request_timed_out")


def test_an_idle_connection_is_closed_without_a_word(server):
    assert exchange(server.port, b"") == b""
    answer = exchange(server.port, request(close=False))
    assert status_of(answer) == 200
    assert answer.count(b"HTTP/1.1") == 1


def test_a_head_over_the_limit_is_refused(server):
    answer = exchange(server.port, f"{HEAD}x-long: {'y' * 9000}\r\n\r\n".encode())
    assert (status_of(answer), error_code_of(answer)) == (431, "headers_too_large")


def test_a_head_without_end_is_refused_as_soon_as_it_passes_the_limit(server):
    assert status_of(exchange(server.port, HEAD.encode() + b"x" * 9000)) == 431


def test_too_many_headers_are_refused(server):
    headers = "".join(f"x-{number}: y\r\n" for number in range(20))
    assert status_of(exchange(server.port, f"{HEAD}{headers}\r\n".encode())) == 431


def test_a_client_that_asks_before_sending_is_told_to_continue_or_is_refused(server):
    expecting = f"{HEAD}connection: close\r\nexpect: 100-continue\r\ncontent-length: "
    with connected(server.port) as connection:
        connection.sendall(f"{expecting}3\r\n\r\n".encode())
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert b'"length": 3' in body_of(read_to_end(connection))
    assert status_of(exchange(server.port, f"{expecting}999999999\r\n\r\n".encode())) == 413


def test_many_half_sent_bodies_are_refused_before_they_fill_the_memory(tmp_path):
    limits = {"max_body_bytes": 100_000, "max_bodies_bytes": 250_000}
    with serving(tmp_path, "echo", limits=limits) as server, contextlib.ExitStack() as held:
        half = f"{HEAD}content-length: 100000\r\n\r\n".encode() + b"x" * 99_000
        uploads = [held.enter_context(connected(server.port)) for _ in range(3)]
        for upload in uploads:
            upload.sendall(half)
            time.sleep(0.1)
        assert status_of(uploads[2].recv(10_000)) == 503
        uploads[0].sendall(b"x" * 1000)
        assert status_of(uploads[0].recv(10_000)) == 200
        assert status_of(exchange(server.port, request(method="POST", body=b"x" * 50_000))) == 200
