"""The Postgres of one pytest session: in memory where there is room, gone when the session ends.

Copying a database costs a few hundred files, which a disk makes five times dearer. A stopped copy of the server, with
the migrated template in it, stays under .spendra, so that the next session begins in half a second.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from spendra.development.embedded_postgres import EmbeddedPostgres
from tests.databases import TEMPLATE

_SETTINGS = {"wal_level": "minimal", "max_wal_senders": "0", "max_wal_size": "128MB", "min_wal_size": "32MB"}
_MEMORY = Path("/dev/shm")
_ROOM_NEEDED = 2**30


class SessionServer:
    def __init__(self, root: Path) -> None:
        self._home = root / ".spendra" / "test-postgres"
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._prepared = self._home / "prepared"
        self._data = _data_folder(self._home, _claim_number(self._home))
        self._server = EmbeddedPostgres(self._data, durable=False, settings=_SETTINGS)

    def start(self) -> str:
        shutil.rmtree(self._data, ignore_errors=True)  # of a session that was killed
        with self._prepared_locked(fcntl.LOCK_SH):
            if self._prepared.exists():
                shutil.copytree(self._prepared, self._data)
        self._url = self._server.start()
        self._templates_at_start = self._names_from(TEMPLATE)
        return self._url

    def stop(self) -> None:
        for name in self._names_from("test_"):
            self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        has_new_template = self._names_from(TEMPLATE) != self._templates_at_start
        self._server.stop()
        if has_new_template:
            self._keep()
        shutil.rmtree(self._data)

    def _keep(self) -> None:
        with self._prepared_locked(fcntl.LOCK_EX):
            building = self._home / "prepared.new"
            shutil.rmtree(building, ignore_errors=True)
            shutil.copytree(self._data, building)
            shutil.rmtree(self._prepared, ignore_errors=True)
            building.rename(self._prepared)

    @contextmanager
    def _prepared_locked(self, how: int) -> Iterator[None]:
        with (self._home / "prepared.lock").open("w") as lock:
            fcntl.flock(lock, how)
            yield

    def _names_from(self, beginning: str) -> set[str]:
        with psycopg.connect(self._url) as connection:
            found = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [beginning])
            return {name for (name,) in found.fetchall()}

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(statement)


def _claim_number(home: Path) -> int:
    """Sessions that run at once have different numbers."""
    number = 1
    while not _lock_for_life(home / f"{number}.lock"):
        number += 1
    return number


def _lock_for_life(path: Path) -> bool:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # stays open, and so locked, until this process ends
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return False
    return True


def _data_folder(home: Path, number: int) -> Path:
    if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM_NEEDED:
        clone = hashlib.sha256(str(home).encode()).hexdigest()[:12]
        return _MEMORY / f"spendra-tests-{os.geteuid()}-{clone}-{number}"
    return home / f"data-{number}"
