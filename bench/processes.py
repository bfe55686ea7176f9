"""Processes of a benchmark: started, waited for, weighed, ended."""

import ctypes
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
START_SECONDS = 120
END_SECONDS = 30  # longer than our roles take to drain
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class DidNotStart(Exception):
    pass


class DidNotEnd(Exception):
    pass


def clean_environment(**variables: str) -> dict[str, str]:
    """What a target may see: nothing of the caller's but where to find programs and a home."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, **variables}


@contextmanager
def running(
    command: Sequence[str | Path], *, log: Path, ready_url: str, environment: Mapping[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """The process, once `ready_url` answers 200; ended afterwards, and when this process dies."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            preexec_fn=_end_with_parent,
        ) as process,
    ):
        try:
            _wait_until_ready(process, ready_url, log)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise DidNotStart(f"{url} does not answer; {log} ends with: {log.read_text(errors='replace')[-800:]}")


def tree(root: int) -> list[int]:
    """The process and all its descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children[int(fields[1])].append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children[pid])
    return found


def still_running(pids: Sequence[int]) -> list[int]:
    return [pid for pid in pids if _stat(pid)[:1] not in ([], ["Z"])]


def cpu_seconds(root: int) -> float:
    """User and system time of the whole tree, and of its children that have ended."""
    stats = [fields for pid in tree(root) if (fields := _stat(pid))]
    return sum(int(field) for fields in stats for field in fields[11:15]) / TICKS_A_SECOND


def resident_mb(root: int) -> float:
    pages = [int(_read(pid, "statm").split()[1]) for pid in tree(root) if _read(pid, "statm")]
    return round(sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024, 1)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; the name before them may hold anything."""
    return _read(pid, "stat").rpartition(")")[2].split()


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:  # ended meanwhile
        return ""
