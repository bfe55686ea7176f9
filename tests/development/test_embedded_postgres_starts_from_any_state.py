"""Whatever an earlier process left in the folder, the server starts and has the data that was committed."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import psycopg
import pytest

from spendra.development.embedded_postgres import EmbeddedPostgres, running_url

START_AND_WAIT = """
import sys
from pathlib import Path
from typing import Literal
from spendra.development.embedded_postgres import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1]), durable=False) as postgres:
    print(postgres.pid, flush=True)
    sys.stdin.read()
"""


def answers(url: str | None) -> bool:
    with psycopg.connect(url or "") as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def test_a_new_folder_becomes_a_private_password_protected_loopback_server(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "postgres"
    with EmbeddedPostgres(folder, durable=False) as postgres, psycopg.connect(postgres.start()) as connection:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert connection.info.user == connection.info.dbname == "spendra"
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'spendra'").fetchone() == (False,)
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(postgres.start(), password="wrong")
    assert running_url(folder) is None


def test_durable_servers_keep_what_a_power_cut_would_lose(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as postgres, psycopg.connect(postgres.start()) as connection:
        names = ("fsync", "full_page_writes", "synchronous_commit")
        assert [connection.execute(f"SHOW {name}").fetchone() for name in names] == [("on",)] * 3


def test_a_pid_file_whose_number_belongs_to_another_program_is_stale(prepared: Path) -> None:
    with EmbeddedPostgres(prepared, durable=False):
        content = (prepared / "cluster" / "postmaster.pid").read_text()
    number_of_a_stranger = str(os.getppid())
    (prepared / "cluster" / "postmaster.pid").write_text("\n".join([number_of_a_stranger, *content.splitlines()[1:]]))
    assert running_url(prepared) is None
    with EmbeddedPostgres(prepared, durable=False):
        assert answers(running_url(prepared))


def test_a_creation_that_was_cut_short_is_begun_again(tmp_path: Path) -> None:
    half_done = tmp_path / "cluster.new" / "base"
    half_done.mkdir(parents=True)
    (tmp_path / "password.new").write_text("half")
    with EmbeddedPostgres(tmp_path, durable=False):
        assert answers(running_url(tmp_path))


def test_after_the_server_itself_was_killed_it_starts_again_at_once(prepared: Path) -> None:
    with EmbeddedPostgres(prepared, durable=False) as postgres:
        first = postgres.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert answers(postgres.start())
        assert postgres.pid != first


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_keeps_port_and_data(prepared: Path, mode: Literal["fast", "immediate"]) -> None:
    with EmbeddedPostgres(prepared, durable=False) as postgres:
        url, pid = postgres.start(), postgres.pid
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (id int)")
        assert postgres.restart(mode) == url
        assert postgres.pid != pid
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_the_second_process_is_given_the_running_server_and_cannot_stop_it(prepared: Path) -> None:
    with EmbeddedPostgres(prepared, durable=False) as first:
        second = EmbeddedPostgres(prepared)
        assert second.start() == first.start()
        second.stop()
        assert answers(running_url(prepared))


def test_processes_that_start_at_the_same_moment_share_one_server(tmp_path: Path) -> None:
    def start(_: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", START_AND_WAIT, str(tmp_path)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    with ThreadPoolExecutor(4) as pool:
        started = list(pool.map(start, range(4)))
    pids = {process.stdout.readline() for process in started if process.stdout}
    for process in started:
        process.communicate()
    assert len(pids) == 1
