"""The server processes that live on a cluster, asked of the kernel."""

import os
import signal
from pathlib import Path


def on_cluster(cluster: Path) -> list[int]:
    """Every server process works in its cluster's folder: surer than a number in a pid file."""
    folder = os.path.realpath(cluster)
    numbers = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in numbers if _is_server_in(folder, Path(f"/proc/{pid}"))]


def _is_server_in(folder: str, process: Path) -> bool:
    try:
        return (process / "comm").read_text().strip() == "postgres" and os.readlink(process / "cwd") == folder
    except OSError:  # ended meanwhile, or another account's
        return False


def parent_of(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return None


def send(pids: list[int], *signals: signal.Signals) -> None:
    for pid in pids:
        for number in signals:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                break
