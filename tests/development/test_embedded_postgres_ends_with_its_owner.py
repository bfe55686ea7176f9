"""The server never outlives the process that started it, however that one ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from spendra.development.embedded_postgres import EmbeddedPostgres, running_url

OWNER = """
import os, sys, threading, time
from pathlib import Path
from spendra.development.embedded_postgres import EmbeddedPostgres
postgres = EmbeddedPostgres(Path(sys.argv[1]), durable=False)
starter = threading.Thread(target=postgres.start)
starter.start()
starter.join()
if os.fork() == 0:
    time.sleep(8)
    os._exit(0)
print(postgres.pid, flush=True)
time.sleep(60)
"""


def start_owner(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """A process that starts the server from a thread that ends, and then forks a child that lives on."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    return owner, int(owner.stdout.readline())


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"process {pid} lives on"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_server_ends_when_its_owner_is_ended_by_a_signal(prepared: Path, number: signal.Signals) -> None:
    owner, server = start_owner(prepared)
    assert running_url(prepared) is not None
    owner.send_signal(number)
    owner.wait(10)
    wait_until_gone(server)
    assert running_url(prepared) is None


def test_committed_rows_are_there_after_the_owner_was_killed(prepared: Path) -> None:
    owner, _ = start_owner(prepared)
    with psycopg.connect(running_url(prepared) or "", autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    owner.kill()
    owner.wait(10)
    with EmbeddedPostgres(prepared, durable=False), psycopg.connect(running_url(prepared) or "") as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_server_that_could_not_hear_the_signal_is_replaced(prepared: Path) -> None:
    owner, server = start_owner(prepared)
    os.kill(server, signal.SIGSTOP)
    owner.kill()
    owner.wait(10)
    with EmbeddedPostgres(prepared, durable=False) as postgres:
        assert postgres.pid not in (None, server)
    wait_until_gone(server)


def test_ctrl_c_in_the_terminal_reaches_the_owner_only(prepared: Path) -> None:
    with EmbeddedPostgres(prepared, durable=False) as postgres:
        assert postgres.pid is not None
        assert os.getsid(postgres.pid) != os.getsid(0)
