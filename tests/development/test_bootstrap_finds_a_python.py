"""`make` on a machine whose Python does not do says in one sentence what to install, or takes a better one."""

import shutil
import subprocess
from pathlib import Path

PREPARE = Path(__file__).resolve().parents[2] / "spendra/development/bootstrap/prepare"
TOO_OLD = 'case "$*" in --version) echo Python 3.8.10 ;; *) exit 1 ;; esac'
WITHOUT_VENV = 'case "$*" in *ensurepip*) exit 1 ;; *) exit 0 ;; esac'
GOOD = 'case "$*" in *install.py*) echo "prepared by $0" ;; *) exit 0 ;; esac'


def prepare(folder: Path, **pythons: str) -> subprocess.CompletedProcess[str]:
    """Run with nothing on the PATH but these interpreters (`_` in a name stands for a dot)."""
    for name, script in pythons.items():
        program = folder / name.replace("_", ".")
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    (folder / "dirname").symlink_to(shutil.which("dirname") or "")
    environment = {"PATH": str(folder)}
    return subprocess.run(["/bin/sh", PREPARE], env=environment, capture_output=True, text=True, check=False)


def test_a_python_that_is_too_old_is_named_with_what_to_install(tmp_path: Path) -> None:
    ended = prepare(tmp_path, python3=TOO_OLD)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "needs Python 3.11 or newer and found Python 3.8.10" in ended.stderr
    assert "apt-get install python3 python3-venv" in ended.stderr


def test_no_python_at_all_is_said(tmp_path: Path) -> None:
    ended = prepare(tmp_path)
    assert ended.returncode == 1
    assert "found none" in ended.stderr


def test_a_python_without_venv_is_named_with_its_package(tmp_path: Path) -> None:
    ended = prepare(tmp_path, python3=TOO_OLD, python3_12=WITHOUT_VENV)
    assert ended.returncode == 1
    assert "apt-get install python3.12-venv" in ended.stderr


def test_a_newer_python_beside_an_old_one_is_taken(tmp_path: Path) -> None:
    ended = prepare(tmp_path, python3=TOO_OLD, python3_12=WITHOUT_VENV, python3_11=GOOD)
    assert ended.returncode == 0
    assert ended.stdout == f"prepared by {tmp_path}/python3.11\n"
