"""A fresh clone, an empty environment, a home that cannot be written: `make` builds all it needs, as root and as a
plain user, also after it was killed in the middle, and the second run is quick."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "PIP_CERT", "REQUESTS_CA_BUNDLE")
PLAIN_USER = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


@pytest.fixture
def clone() -> Iterator[Path]:
    """Of the last commit, in a folder that every account can walk to."""
    folder = Path(f"/tmp/spendra-from-nothing-{os.getpid()}")
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, folder], check=True)
    yield folder
    shutil.rmtree(folder)


def start(clone: Path, account: list[str], *command: str) -> subprocess.Popen[str]:
    certificates = {name: os.environ[name] for name in CERTIFICATES if name in os.environ}
    return subprocess.Popen(
        [*account, *command],
        cwd=clone,
        env={"PATH": SYSTEM_PATH, "HOME": "/nonexistent", **certificates},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(clone: Path, account: list[str], *command: str) -> str:
    process = start(clone, account, *command)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return said


@pytest.mark.parametrize("account", [[], PLAIN_USER], ids=["as the caller", "as a plain user"])
def test_make_builds_what_it_needs_in_a_fresh_clone(clone: Path, account: list[str]) -> None:
    if account:
        shutil.chown(clone, "nobody", "nogroup")
        for path in clone.rglob("*"):
            shutil.chown(path, "nobody", "nogroup")

    interrupted = start(clone, account, "make", "environment")
    time.sleep(10)
    assert interrupted.poll() is None, "too quick to be interrupted: shorten the wait"
    os.killpg(interrupted.pid, signal.SIGKILL)
    interrupted.wait()

    said = run(clone, account, "make", "environment")
    assert "Making .venv" in said
    assert "packages" in said
    begun = time.monotonic()
    assert run(clone, account, "make", "environment") == ""
    assert time.monotonic() - begun < 5

    run(clone, account, ".venv/bin/python", "manage.py", "check")
    run(clone, account, ".venv/bin/python", "manage.py", "migrate")
    assert not list(clone.glob(".spendra/postgres/cluster/postmaster.pid"))
