"""Reads the rules of one organization, or the catalog, whole, in one REPEATABLE READ transaction, token included.

Synchronous, on a connection and a thread of its own: a load must not hold up the event loop or a reserve.
"""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import psycopg

from apps.budgets.connecting import GIVE_UP_SILENT_SERVERS
from apps.catalog import queries as catalog_queries
from apps.gateway.rules import CatalogRules, OrganizationRules
from apps.gateway.rules_indexes import indexes
from apps.gateway.rules_parts import PARTS, SETTINGS, Ids, Part, settings_of

EVERYBODY = UUID(int=0)
# About a millisecond of work. The pause after it leaves the interpreter to the event loop, which waits otherwise five
# milliseconds for every turn, and stands still while thousands of rows are turned into objects at once.
ROWS_AT_ONCE = 250
PAUSE_SECONDS = 0.001
MANY_ROWS = 5_000
Connection = psycopg.Connection[Any]
_LAST_CHANGE = "SELECT coalesce(max(seq), 0) FROM budgets_governancechange WHERE organization_id = %(organization)s"


class RulesLoader:
    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None

    def organization(self, organization_id: UUID) -> OrganizationRules | None:
        """The organization's rules as of now, None where there is no such organization. Raises psycopg.Error."""
        with self._snapshot() as connection:
            rows = _read(connection, organization_id)
        return None if rows is None else _build(organization_id, rows)

    def catalog(self) -> CatalogRules:
        with self._snapshot() as connection:
            token = _token(connection, EVERYBODY)
            if token is None:
                raise psycopg.OperationalError("the database has no rules yet: run manage.py migrate")
            return CatalogRules(token, catalog_queries.load_snapshot(connection.cursor()))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    @contextmanager
    def _snapshot(self) -> Iterator[Connection]:
        connection = self._connected()
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            yield connection

    def _connected(self) -> Connection:
        if not self._answers():
            self._connection = psycopg.connect(
                self._url,
                autocommit=True,
                application_name="spendra gateway rules",
                connect_timeout=5,
                options="-c statement_timeout=60s -c lock_timeout=5s",
                **GIVE_UP_SILENT_SERVERS,
            )
        assert self._connection is not None
        return self._connection

    def _answers(self) -> bool:
        """Loads are rare: the server may have restarted since the last one, which only a question shows."""
        if self._connection is None or self._connection.closed:
            return False
        try:
            self._connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class _Rows:
    """An organization's rows of one moment, received and not yet turned into objects."""

    token: str
    last_change: int
    settings: list[Any]
    parts: list[psycopg.Cursor[Any]]  # in the order of PARTS


def _token(connection: Connection, rules_id: UUID) -> str | None:
    row = connection.execute("SELECT token::text FROM budgets_governanceversion WHERE id = %s", (rules_id,)).fetchone()
    return row[0] if row else None


def _read(connection: Connection, organization_id: UUID) -> _Rows | None:
    whose = {"organization": organization_id}
    token = _token(connection, organization_id)
    settings = connection.execute(SETTINGS.format(organization="%(organization)s"), whose).fetchone()
    last_change = connection.execute(_LAST_CHANGE, whose).fetchone()
    if token is None or settings is None or last_change is None:
        return None
    parts = [connection.execute(_whole(part), whose) for part in PARTS]
    return _Rows(token, last_change[0], settings[0], parts)


def _whole(part: Part) -> str:
    statement = part.statement.format(organization="%(organization)s", which="true")
    return f"SELECT rule::text FROM ({statement}) part"


def _build(organization_id: UUID, rows: _Rows) -> OrganizationRules:
    ids = Ids()
    are_many = sum(cursor.rowcount for cursor in rows.parts) > MANY_ROWS
    with _without_collections() if are_many else nullcontext():
        parts: dict[str, Any] = {p.name: _rules(p, cursor, ids) for p, cursor in zip(PARTS, rows.parts, strict=True)}
    return OrganizationRules(
        id=organization_id,
        token=rows.token,
        last_change=rows.last_change,
        **settings_of(rows.settings),
        **parts,
        **indexes(parts),
    )


def _rules(part: Part, cursor: psycopg.Cursor[Any], ids: Ids) -> dict[Any, Any]:
    rules: dict[Any, Any] = {}
    while texts := cursor.fetchmany(ROWS_AT_ONCE):
        rules.update(part.rule(orjson.loads(text), ids) for (text,) in texts)
        time.sleep(PAUSE_SECONDS)
    return rules


@contextmanager
def _without_collections() -> Iterator[None]:
    """Tens of thousands of new objects would make the garbage collector look at all that the process has, which stops
    everybody for a tenth of a second; they are long-lived, and it need not look at them again."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
