"""Where processes are killed: a database with its worker, whose time leaps forward instead of being waited for."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import psycopg

from tests.databases import Database
from tests.gateway.conftest import Sandbox

# The sweeper takes a gateway for dead after 30 s of silence.
SILENCE_SECONDS = 40
Result = TypeVar("Result")


@dataclass
class Stage:
    database: Database
    sandbox: Sandbox
    _ahead: int = 0

    def leap(self) -> None:
        """Half a minute and more passes for everybody; a living gateway is seen again at its next heartbeat."""
        self._ahead += SILENCE_SECONDS
        with psycopg.connect(self.database.url) as connection:
            connection.execute(
                "CREATE OR REPLACE FUNCTION spendra_now_v1() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
                f"'SELECT clock_timestamp() + interval ''{self._ahead} seconds'''"
            )

    @contextmanager
    def locked(self, table: str, where: str, *parameters: Any) -> Iterator[None]:
        """Some other session holds these rows."""
        with psycopg.connect(self.database.url) as holder:
            held = holder.execute(f"SELECT FROM {table} WHERE {where} FOR NO KEY UPDATE", parameters)
            assert held.rowcount > 0
            yield
            holder.rollback()

    def wait_for_lock_wait(self, query: str) -> None:
        """Returns while a session waits for a lock in a statement that holds `query`."""
        with psycopg.connect(self.database.url, autocommit=True) as watcher:
            statement = (
                "SELECT FROM pg_stat_activity WHERE datname = current_database() "
                "AND position(%s IN query) > 0 AND wait_event_type = 'Lock'"
            )
            eventually(lambda: watcher.execute(statement, [query]).rowcount, 60)


def eventually(condition: Callable[[], Result], seconds: float = 15) -> Result:
    """The first true value of `condition()`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return value


def beside(act: Callable[[], Result]) -> "Future[Result | httpx.TransportError]":
    """`act` in a thread of its own; a connection that breaks is its result."""
    result: Future[Any] = Future()

    def run() -> None:
        try:
            result.set_result(act())
        except httpx.TransportError as error:
            result.set_result(error)
        except BaseException as error:  # noqa: BLE001  # whatever it is, the test that waits must see it
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return result
