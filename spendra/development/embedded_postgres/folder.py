"""The data folder of an embedded Postgres: where things are, and which server is alive on it."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spendra.development.embedded_postgres import processes

DATABASE = USER = "spendra"
_LEFTOVERS_MAY_TAKE_SECONDS = 10


@dataclass(frozen=True)
class Postmaster:
    pid: int
    port: int
    is_ready: bool


class DataFolder:
    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.cluster = self.path / "cluster"
        self.password_file = self.path / "password"
        self.log = self.path / "server.log"
        self._pid_file = self.cluster / "postmaster.pid"
        self._owner_file = self.path / "owner"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Creates the folder, for its owner alone, and lets one process at a time start a server in it."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def password(self) -> str:
        return self.password_file.read_text()

    def url(self, port: int) -> str:
        return f"postgresql://{USER}:{self.password()}@127.0.0.1:{port}/{DATABASE}"

    def postmaster(self) -> Postmaster | None:
        """The server that is alive on this cluster, whatever a stale pid file says."""
        try:
            lines = self._pid_file.read_text().splitlines()
            pid, port = int(lines[0]), int(lines[3])
        except (OSError, ValueError, IndexError):
            return None
        if pid not in processes.on_cluster(self.cluster):
            return None
        return Postmaster(pid, port, is_ready=len(lines) > 7 and lines[7].strip() == "ready")

    def serving(self) -> Postmaster | None:
        """The living server, unless the process that started it is gone: then it is on its way down."""
        found = self.postmaster()
        if found is None or not found.is_ready or processes.parent_of(found.pid) != self._recorded_owner():
            return None
        return found

    def record_owner(self) -> None:
        self._owner_file.write_text(str(os.getpid()))

    def clear_leftovers(self) -> None:
        """Ends what a killed parent left running, then drops its pid file: the number may be somebody else's by now."""
        deadline = time.monotonic() + _LEFTOVERS_MAY_TAKE_SECONDS
        while alive := processes.on_cluster(self.cluster):
            if time.monotonic() > deadline:
                processes.send(alive, signal.SIGKILL)
            elif found := self.postmaster():
                processes.send([found.pid], signal.SIGINT, signal.SIGCONT)
            time.sleep(0.05)
        self._pid_file.unlink(missing_ok=True)

    def last_complaint(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        complaints = [line for line in lines if "FATAL" in line or "PANIC" in line or "ERROR" in line]
        return (complaints or lines or ["it left no message"])[-1]

    def _recorded_owner(self) -> int | None:
        try:
            return int(self._owner_file.read_text())
        except (OSError, ValueError):
            return None
