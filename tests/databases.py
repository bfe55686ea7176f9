"""A database of its own for each test: migrated once into a template, then copied.

A test that is wrapped in a transaction would never fire the deferred triggers that carry the version of the rules, and
the append-only tables refuse the TRUNCATE with which Django cleans up after the other kind.
"""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit, urlunsplit

import dj_database_url
import psycopg
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

ROOT = Path(__file__).resolve().parents[1]
_ONE_AT_A_TIME = 7_001
# Ours alone: the server may be somebody's own, and what begins so is dropped.
TEMPLATE, _BUILDING = "spendra_test_template_", "spendra_test_building_"


@dataclass
class Database:
    """`url` is what a child process takes as DATABASE_URL; Django's default connection points at it too."""

    url: str
    _opened: ExitStack = field(default_factory=ExitStack, repr=False)

    @property
    def name(self) -> str:
        return urlsplit(self.url).path.removeprefix("/")

    def connect(self, **options: object) -> psycopg.Connection:
        """A connection independent of Django's, in autocommit; closed when the test ends."""
        connection = psycopg.connect(self.url, **{"autocommit": True, **options})
        return self._opened.enter_context(connection)

    def close(self) -> None:
        self._opened.close()


class Copies:
    """Copies of the template; the next one is made while a test still runs."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._server = psycopg.connect(server_url, autocommit=True)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="test-databases")
        self._template = ensure_template(self._server, server_url)
        self._count = 0
        self._next: Future[Database] | None = None

    def take(self) -> Database:
        taken = self._next or self._worker.submit(self._create)
        self._next = self._worker.submit(self._create)
        return taken.result()

    def give_back(self, database: Database) -> None:
        self._worker.submit(self._drop, database)

    def close(self) -> None:
        if self._next is not None:
            self.give_back(self._next.result())
        self._worker.shutdown()
        self._server.close()

    def _create(self) -> Database:
        self._count += 1
        name = f"test_{os.getpid()}_{self._count}"
        self._server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{self._template}" STRATEGY FILE_COPY')
        return Database(url_of(self._server_url, name))

    def _drop(self, database: Database) -> None:
        self._server.execute(f'DROP DATABASE "{database.name}" WITH (FORCE)')


def url_of(server_url: str, name: str) -> str:
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


def ensure_template(server: psycopg.Connection, server_url: str) -> str:
    """The migrated template of the migrations as they are now. Built under another name, so that one that exists is
    whole; the templates of earlier migrations go."""
    name = f"{TEMPLATE}{_fingerprint()}"
    server.execute("SELECT pg_advisory_lock(%s)", [_ONE_AT_A_TIME])
    try:
        found = {row[0] for row in server.execute("SELECT datname FROM pg_database").fetchall()}
        if name not in found:
            for stale in (other for other in found if other.startswith((TEMPLATE, _BUILDING))):
                server.execute(f'ALTER DATABASE "{stale}" IS_TEMPLATE false')
                server.execute(f'DROP DATABASE "{stale}" WITH (FORCE)')
            _build_template(server, server_url, name)
    finally:
        server.execute("SELECT pg_advisory_unlock(%s)", [_ONE_AT_A_TIME])
    return name


def _build_template(server: psycopg.Connection, server_url: str, name: str) -> None:
    building = name.replace(TEMPLATE, _BUILDING)
    server.execute(f'CREATE DATABASE "{building}"')
    with as_default(Database(url_of(server_url, building))):
        call_command("migrate", verbosity=0)
    server.execute(f'ALTER DATABASE "{building}" ALLOW_CONNECTIONS false')
    server.execute(f'ALTER DATABASE "{building}" RENAME TO "{name}"')


def _fingerprint() -> str:
    """Changes with everything that `migrate` makes: migrations, their SQL, the catalog they load, packages."""
    rooms = ("migrations/**/*", "sql/**/*", "apps.py", "signals.py", "partitions.py")
    wiring = ("spendra/sql/**/*", "spendra/migrations/**/*", "requirements.txt")
    patterns = (*(f"apps/*/{pattern}" for pattern in rooms), "apps/catalog/**/*", *wiring)
    files = {path for pattern in patterns for path in ROOT.glob(pattern)}
    digest = hashlib.sha256()
    for path in sorted(path for path in files if path.is_file() and path.suffix != ".pyc"):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def as_default(database: Database) -> Iterator[None]:
    """Inside, Django, its settings and child processes use this database."""
    connections["default"].close()
    described = dj_database_url.parse(database.url, conn_max_age=60, conn_health_checks=True)
    with (
        patch.dict(connections["default"].settings_dict, dict(described)),
        patch.dict(os.environ, {"DATABASE_URL": database.url}),
        override_settings(DATABASE_URL=database.url, DATABASE_DIRECT_URL=database.url),
    ):
        try:
            yield
        finally:
            connections.close_all()
            database.close()
