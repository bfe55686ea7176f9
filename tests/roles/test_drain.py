import signal
import time

from tests.roles.serving import body_of, connected, exchange, is_open, read_to_end, request, serving, status_of


def test_sigterm_finishes_running_answers_and_streams_and_exits_0(tmp_path):
    with serving(tmp_path, "ticking") as server, connected(server.port) as connection:
        connection.sendall(request("/?8", close=False))
        assert b"tick 0" in connection.recv(1000)
        server.terminate()
        server.wait_for("drain")
        assert not is_open(server.port)
        rest = read_to_end(connection)
        assert rest.endswith(b"end\n\r\n0\r\n\r\n")
        server.wait_for("shutdown")
        assert server.exit_code() == 0


def test_an_idle_connection_does_not_hold_the_drain_up(tmp_path):
    with serving(tmp_path, "echo") as server, connected(server.port) as connection:
        connection.sendall(request(close=False))
        connection.recv(10_000)
        begun = time.monotonic()
        server.terminate()
        assert server.exit_code() == 0
        assert time.monotonic() - begun < 2


def test_a_kept_connection_is_answered_during_the_drain_and_told_to_close(tmp_path):
    with (
        serving(tmp_path, "slow") as server,
        connected(server.port) as busy,
        connected(server.port) as kept,
    ):
        kept.sendall(request("/?0", close=False))
        assert b"connection: close" not in kept.recv(10_000)
        busy.sendall(request("/?1"))
        server.wait_for("working")
        server.wait_for("working")
        server.terminate()
        server.wait_for("drain")
        kept.sendall(request("/?0", close=False))
        assert b"connection: close" in read_to_end(kept)
        assert body_of(read_to_end(busy)) == b"finished"
        assert server.exit_code() == 0


def test_what_does_not_finish_in_time_is_cut_and_the_exit_code_says_so(tmp_path):
    with serving(tmp_path, "slow", drain_seconds=2) as server, connected(server.port) as connection:
        connection.sendall(request("/?60"))
        server.wait_for("working")
        begun = time.monotonic()
        server.terminate()
        assert server.exit_code(5) == 1
        assert time.monotonic() - begun < 3


def test_a_second_signal_changes_nothing(tmp_path):
    with serving(tmp_path, "ticking") as server, connected(server.port) as connection:
        connection.sendall(request("/?8"))
        connection.recv(1000)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            server.child.send_signal(number)
            time.sleep(0.05)
        assert read_to_end(connection).endswith(b"end\n\r\n0\r\n\r\n")
        assert server.exit_code() == 0


def test_sigint_drains_too(tmp_path):
    with serving(tmp_path, "echo") as server:
        server.child.send_signal(signal.SIGINT)
        server.wait_for("shutdown")
        assert server.exit_code() == 0


def test_the_port_opens_only_after_the_application_has_started(tmp_path):
    with serving(tmp_path, "echo", start_seconds=0.5) as server:
        assert not is_open(server.port)
        server.wait_for("started")
        time.sleep(0.2)
        assert status_of(exchange(server.port, request())) == 200


def test_a_signal_during_the_start_ends_it(tmp_path):
    with serving(tmp_path, "echo", start_seconds=60) as server:
        time.sleep(0.2)
        server.terminate()
        assert server.exit_code(5) == 0
