"""Where the demo cannot run, one sentence says why, before anything is started."""

import fcntl
import socket
from pathlib import Path

from tests.demo.demos import run_demo


def test_a_port_that_is_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        ended = run_demo(tmp_path / "demo", "--gateway-port", str(port))
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"CommandError: --gateway-port: Port {port} on 127.0.0.1 is in use")
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "demo" / "postgres").exists()


def test_one_port_for_two_roles_is_refused(tmp_path: Path) -> None:
    ended = run_demo(tmp_path / "demo", "--gateway-port", "14979", "--dashboard-port", "14979")
    assert ended.returncode == 1
    assert ended.stderr == "CommandError: The gateway and the dashboard cannot share port 14979.\n"


def test_a_folder_that_another_demo_uses_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "demo.json").write_text("of the other demo")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = run_demo(folder, "--once")
    assert ended.returncode == 1
    assert f"A demo runs on {folder} already" in ended.stderr
    assert (folder / "demo.json").read_text() == "of the other demo"


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("a file is in the way")
    ended = run_demo(tmp_path / "demo", "--once")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"CommandError: The demo cannot write to {tmp_path / 'demo'}")


def test_a_provider_without_its_key_is_refused(tmp_path: Path) -> None:
    ended = run_demo(tmp_path / "demo", "--once", OPENAI_BASE_URL="http://127.0.0.1:1/v1")
    assert ended.returncode == 1
    assert "set OPENAI_API_KEY too" in ended.stderr
    assert not (tmp_path / "demo" / "postgres").exists()


def test_a_database_that_does_not_answer_is_said(tmp_path: Path) -> None:
    ended = run_demo(tmp_path / "demo", "--once", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert ended.returncode == 1
    assert "CommandError: The database does not answer: " in ended.stderr
    assert "Traceback" not in ended.stderr


def test_production_is_refused(tmp_path: Path) -> None:
    production = dict.fromkeys(("OPENAI_API_KEY", "SUPABASE_JWT_SECRET", "SPENDRA_METRICS_BEARER_TOKEN"), "a-secret")
    ended = run_demo(
        tmp_path / "demo",
        "--once",
        SPENDRA_ENV="production",
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
        SPENDRA_ALLOWED_ORIGINS="https://spendra.example.com",
        **production,
    )
    assert ended.returncode == 1
    assert ended.stderr == "CommandError: The demo makes demo data: it does not run where SPENDRA_ENV is production.\n"
