"""Real demos as child processes of a test."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
END_SECONDS = 15


def clean_environment(**more: str) -> dict[str, str]:
    return {"PATH": os.defpath, "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8", **more}


def demo_command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "manage.py", "demo", "--data-dir", str(folder), *arguments]


def run_demo(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        demo_command(folder, *arguments),
        cwd=ROOT,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
    )


class Demo:
    """`described` is the content of its demo.json, once it serves."""

    described: dict[str, str]

    def __init__(self, folder: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._output = folder.with_name(f"{folder.name}.out")
        self._description = folder / "demo.json"
        self._earlier = _written_at(self._description)
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def output(self) -> str:
        return self._output.read_text()

    def processes(self) -> dict[int, str]:
        """The demo and everything below it, with their command lines."""
        parents = {pid: int(fields[1]) for pid, fields in _stats().items()}
        found, below = [self.process.pid], {self.process.pid}
        while below:
            below = {pid for pid, parent in parents.items() if parent in below}
            found += below
        return {pid: Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in found}

    def ends(self, pids: dict[int, str]) -> int:
        """The exit code; AssertionError where the demo or a process of it lives on."""
        code = self.process.wait(END_SECONDS)
        deadline = time.monotonic() + END_SECONDS
        while alive := [command for pid, command in pids.items() if _is_alive(pid)]:
            assert time.monotonic() < deadline, f"left running: {alive}"
            time.sleep(0.05)
        return code

    def manage(self, *arguments: str) -> str:
        """A command of manage.py in a shell that has sourced demo.env."""
        script = 'set -a; . "$0"; set +a; exec "$@"'
        command = ["sh", "-c", script, str(self.folder / "demo.env"), sys.executable, "manage.py", *arguments]
        ended = subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def wait_until_it_serves(self) -> None:
        self.wait_until(lambda: _written_at(self._description) not in {None, self._earlier})
        self.described = json.loads(self._description.read_text())

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.02)


@contextmanager
def starting_demo(folder: Path, *arguments: str, **environment: str) -> Iterator[Demo]:
    demo = Demo(folder, demo_command(folder, *arguments), clean_environment(**environment))
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.process.send_signal(signal.SIGTERM)
            demo.process.wait(END_SECONDS)


@contextmanager
def serving_demo(folder: Path, *arguments: str, **environment: str) -> Iterator[Demo]:
    with starting_demo(folder, *arguments, **environment) as demo:
        demo.wait_until_it_serves()
        yield demo


def _written_at(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.exists() else None


def _is_alive(pid: int) -> bool:
    """A zombie has ended: the test machine's first process may take its time to bury it."""
    return _stats().get(pid, ["Z"])[0] != "Z"


def _stats() -> dict[int, list[str]]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # ended meanwhile
                continue
    return found
