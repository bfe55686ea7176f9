"""Debian's pgbouncer in transaction mode before a test's database, as unkind as it can be."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg

from spendra.development.embedded_postgres.ports import free_port

PGBOUNCER = "/usr/sbin/pgbouncer"
# Each transaction gets another server connection than the one before: what relies on a session is found at once.
SETTINGS = {
    "listen_addr": "127.0.0.1",
    "unix_socket_dir": "",
    "auth_type": "any",
    "pool_mode": "transaction",
    "server_round_robin": "1",
    "min_pool_size": "3",
    "default_pool_size": "5",
    "ignore_startup_parameters": "extra_float_digits",
}


@dataclass
class Pooler:
    """`url` is the database of `direct_url` behind a pgbouncer of its own; use it as a context manager."""

    direct_url: str
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        parts = urlsplit(self.direct_url)
        user = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{self.port}"))

    @property
    def log(self) -> str:
        return (self.folder / "pgbouncer.log").read_text()

    def __enter__(self) -> "Pooler":
        self.port = free_port()
        ini = self.folder / "pgbouncer.ini"
        ini.write_text(self._configuration())
        # It refuses to serve as root, and reads its configuration before it becomes somebody else.
        command = [PGBOUNCER, *(["-u", "nobody"] if os.geteuid() == 0 else []), str(ini)]
        with (self.folder / "pgbouncer.log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self._wait_until_it_serves()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)

    def _configuration(self) -> str:
        server = urlsplit(self.direct_url)
        login = {"host": server.hostname, "port": server.port, "user": server.username, "password": server.password}
        said = " ".join(f"{name}={_quoted(str(value))}" for name, value in login.items() if value is not None)
        settings = {"listen_port": self.port, **SETTINGS, **self.settings}
        lines = [f"{name} = {value}" for name, value in settings.items()]
        return "\n".join(["[databases]", f"* = {said}", "[pgbouncer]", *lines, ""])

    def _wait_until_it_serves(self) -> None:
        deadline = time.monotonic() + 10
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
            except psycopg.OperationalError:
                assert self.process is not None
                assert self.process.poll() is None, self.log
                assert time.monotonic() < deadline, self.log
                time.sleep(0.05)
            else:
                return


def _quoted(value: str) -> str:
    return "'" + unquote(value).replace("'", "''") + "'"
