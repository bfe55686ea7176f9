"""Start, stop and restart the server of one folder."""

import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import psycopg
from psycopg import conninfo
from psycopg.pq import PGconn, Ping

from spendra.development.embedded_postgres import cluster, launching, ports
from spendra.development.embedded_postgres.binaries import Installation, find_installation
from spendra.development.embedded_postgres.errors import EmbeddedPostgresError
from spendra.development.embedded_postgres.folder import DataFolder
from spendra.development.embedded_postgres.server_process import ServerProcess

_START_SECONDS = 120
_ANSWER_SECONDS = 10
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "dynamic_shared_memory_type": "mmap",  # inside the data folder: nothing is left in /dev/shm after a kill
    "timezone": "UTC",
    "log_timezone": "UTC",
    "cluster_name": "spendra",
}
_FAST_BUT_FORGETFUL = {"fsync": "off", "full_page_writes": "off"}


def running_url(data_dir: Path) -> str | None:
    """The URL of the server that some process serves from this folder now."""
    folder = DataFolder(data_dir)
    found = folder.serving()
    return folder.url(found.port) if found else None


def _answers(url: str) -> bool:
    """False of a server that was just killed: the kernel lists it until it has taken it apart."""
    return PGconn.ping(conninfo.make_conninfo(url, connect_timeout=_ANSWER_SECONDS).encode()) == Ping.OK


class EmbeddedPostgres:
    """The server of one data folder. Whoever starts it first owns it; others are given its URL, and their stop() does
    nothing. When the owner dies, also by SIGKILL, the server shuts down. `durable=False` is for tests alone."""

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = DataFolder(data_dir)
        self._port = port
        self._durable = durable
        self._settings = _SETTINGS | ({} if durable else _FAST_BUT_FORGETFUL) | dict(settings or {})
        self._process: ServerProcess | None = None

    def start(self) -> str:
        """Creates what is missing and returns the database's URL once it answers. Raises EmbeddedPostgresError."""
        try:
            with self._folder.locked():
                found = self._folder.serving()
                if found and _answers(self._folder.url(found.port)):
                    return self._folder.url(found.port)
                return self._folder.url(self._start_own())
        except OSError as error:
            raise EmbeddedPostgresError(
                f"The embedded Postgres cannot write to {self._folder.path} ({error.strerror}). "
                "Give it a folder that this account can write to, or set DATABASE_URL to a Postgres 16."
            ) from error

    def stop(self) -> None:
        if self._process is not None:
            self._process.end(signal.SIGINT)
            self._process = None

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> str:
        """Down and up again on the same port. `immediate` is a crash: the next start recovers from the log."""
        if self._process is None:
            raise EmbeddedPostgresError("Only the process that started the embedded Postgres can restart it.")
        self._process.end(signal.SIGINT if mode == "fast" else signal.SIGQUIT)
        return self.start()

    @property
    def pid(self) -> int | None:
        found = self._folder.serving()
        return found.pid if found else None

    @property
    def owns_server(self) -> bool:
        return self._process is not None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_own(self) -> int:
        self._folder.clear_leftovers()
        if self._port is None:
            self._port = ports.free_port()
        ports.must_be_free(self._port)
        installation = find_installation()
        cluster.prepare(self._folder, installation, durable=self._durable)
        self._folder.record_owner()
        self._process = ServerProcess(self._command(installation, self._port), self._folder.log)
        self._wait_until_it_answers(self._process, self._folder.url(self._port))
        return self._port

    def _command(self, installation: Installation, port: int) -> list[str]:
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        return launching.command(
            installation.account,
            self._folder.cluster,
            installation.bin / "postgres",
            *("-D", cluster.HERE, "-p", str(port), *options),
            at_parents_end=signal.SIGINT,
        )

    def _wait_until_it_answers(self, process: ServerProcess, url: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        try:
            while self._folder.serving() is None:
                if process.wait(0.01) or time.monotonic() > deadline:
                    raise EmbeddedPostgresError(f"The embedded Postgres did not start: {self._folder.last_complaint()}")
            psycopg.connect(url, connect_timeout=_ANSWER_SECONDS).close()
        except (EmbeddedPostgresError, psycopg.Error) as error:
            self.stop()
            raise EmbeddedPostgresError(str(error).strip()) from error
