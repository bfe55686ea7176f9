import os
import signal
import time
from contextlib import suppress

import pytest

from tests.roles.serving import body_of, connected, exchange, is_open, read_to_end, request, serving, wait_until_open


def pid_of(answer):
    return int(body_of(answer))


def pids(port, connections=40):
    return {pid_of(exchange(port, request())) for _ in range(connections)}


def both(port, seconds=15):
    """The two processes that answer on `port`, once both do."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if len(found := pids(port)) == 2:
            return found
    raise AssertionError(f"only {found} answered")


def is_alive(pid):
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def wait_until_gone(some_pids, seconds=10):
    deadline = time.monotonic() + seconds
    while any(is_alive(pid) for pid in some_pids):
        assert time.monotonic() < deadline, "a process is still there"
        time.sleep(0.05)


@pytest.fixture
def two(tmp_path):
    with serving(tmp_path, "counting", processes=2) as server:
        yield server


def test_two_processes_answer_on_one_port_and_share_the_connections(two):
    both(two.port)
    held = []
    for _ in range(64):
        connection = connected(two.port)
        held.append((connection, connection.__enter__()))
    answers = []
    for _, opened in held:
        opened.sendall(request())
        answers.append(pid_of(read_to_end(opened)))
    for connection, _ in held:
        connection.__exit__(None, None, None)
    assert min(answers.count(pid) for pid in set(answers)) >= 8


def test_a_killed_child_is_replaced_while_the_other_serves(two):
    first, second = both(two.port)
    os.kill(first, signal.SIGKILL)
    for _ in range(20):
        assert pid_of(exchange(two.port, request())) != first
    replaced = both(two.port)
    assert second in replaced
    assert first not in replaced


def test_sigterm_drains_both_and_exits_0(two):
    children = both(two.port)
    two.terminate()
    assert two.exit_code() == 0
    assert not any(is_alive(pid) for pid in children)
    assert not is_open(two.port)


def test_ctrl_c_reaches_the_children_only_through_the_parent(tmp_path):
    with serving(tmp_path, "ticking", processes=2) as server, connected(server.port) as connection:
        connection.sendall(request("/?5"))
        connection.recv(1000)
        os.killpg(server.pid, signal.SIGINT)
        assert read_to_end(connection).endswith(b"end\n\r\n0\r\n\r\n")
        assert server.exit_code() == 0


def test_children_end_when_their_parent_is_killed(two):
    children = both(two.port)
    os.kill(two.pid, signal.SIGKILL)
    two.exit_code()
    wait_until_gone(children)


def test_children_of_a_killed_parent_finish_their_streams(tmp_path):
    with serving(tmp_path, "ticking", processes=2) as server, connected(server.port) as connection:
        connection.sendall(request("/?8"))
        connection.recv(1000)
        os.kill(server.pid, signal.SIGKILL)
        assert read_to_end(connection).endswith(b"end\n\r\n0\r\n\r\n")


def test_a_child_that_hangs_is_cut_and_the_exit_code_says_so(tmp_path):
    with serving(tmp_path, "slow", processes=2, drain_seconds=1) as server, connected(server.port) as connection:
        connection.sendall(request("/?60"))
        server.wait_for("working")
        server.terminate()
        assert server.exit_code(8) == 1


def test_the_metrics_of_all_processes_are_summed_whichever_is_asked(tmp_path):
    folder = tmp_path / "siblings"
    folder.mkdir()
    with serving(tmp_path, "counting", processes=2, siblings=str(folder)) as server:
        counted = sum(1 for _ in range(60) if exchange(server.port, request("/counted")))
        seen = both(server.port)
        scrape = request("/metrics", headers=["authorization: Bearer scrape-me"])
        for _ in range(8):
            text = body_of(exchange(server.port, scrape)).decode()
            assert f'test_requests_total{{path="/counted"}} {counted}.0' in text
            assert 'test_seconds_bucket{le="1.0"} 0.0' in text
            assert {int(float(line.split()[1])) for line in text.splitlines() if line.startswith("test_pid{")} == seen
        assert text.count("# TYPE test_requests_total counter") == 1


def test_a_wrong_or_missing_token_reads_no_metrics(two):
    wait_until_open(two.port)
    assert b" 401 " in exchange(two.port, request("/metrics"))
    assert b" 401 " in exchange(two.port, request("/metrics", headers=["authorization: Bearer wrong"]))
