import time

from tests.roles.serving import connected, request, serving


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def test_a_slow_reader_of_a_fast_answer_stops_the_application_and_costs_no_memory(tmp_path):
    with serving(tmp_path, "flood") as server, connected(server.port) as connection:
        before = resident_bytes(server.pid)
        connection.sendall(request())
        connection.recv(1000)
        time.sleep(1)
        sent = 0
        while not server.lines.empty():
            sent = int(server.wait_for("sent"))
        assert 0 < sent < 32 * 2**20
        assert resident_bytes(server.pid) - before < 16 * 2**20
        connection.recv(2**20)
        for _ in range(200):
            connection.recv(2**20)
        assert int(server.wait_for("sent")) > sent


def test_a_reader_that_has_stopped_for_good_is_cut(tmp_path):
    with (
        serving(tmp_path, "flood", limits={"stalled_reader_seconds": 1}) as server,
        connected(server.port) as connection,
    ):
        connection.sendall(request())
        connection.recv(1000)
        server.wait_for("disconnected", seconds=5)
