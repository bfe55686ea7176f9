"""One Postgres for the session, one database for each test that asks for it."""

import os
import signal
from collections.abc import Iterator

import pytest
from pytest_django.plugin import DjangoDbBlocker

from spendra.development.embedded_postgres import EmbeddedPostgresError
from tests import databases
from tests.databases import Database
from tests.session_server import SessionServer


def pytest_configure(config: pytest.Config) -> None:
    is_xdist_worker = hasattr(config, "workerinput")
    if not is_xdist_worker:
        # A suite that a script runs in the background ignores Ctrl-C, and so would every process it starts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if is_xdist_worker or config.option.collectonly or os.environ.get("DATABASE_URL"):
        return
    try:
        server = SessionServer(config.rootpath)
        os.environ["DATABASE_URL"] = server.start()
    except EmbeddedPostgresError as error:
        pytest.exit(str(error), returncode=1)
    config.add_cleanup(server.stop)


@pytest.fixture(scope="session")
def database_copies(django_db_blocker: DjangoDbBlocker) -> Iterator[databases.Copies]:
    with django_db_blocker.unblock():
        copies = databases.Copies(os.environ["DATABASE_URL"])
    yield copies
    copies.close()


@pytest.fixture
def database(database_copies: databases.Copies, django_db_blocker: DjangoDbBlocker) -> Iterator[Database]:
    """A migrated database of this test's own: commits are real, deferred triggers fire, Django's default connection
    and the DATABASE_URL of child processes point at it."""
    database = database_copies.take()
    with django_db_blocker.unblock(), databases.as_default(database):
        yield database
    database_copies.give_back(database)


@pytest.fixture(scope="session")
def django_db_setup() -> None:
    """Stands in for pytest-django's own, which would create a database that no test of ours can use."""
    pytest.fail("ask for the `database` fixture, not for pytest-django's `db`, `admin_client` or django_db")
