"""Taking a month's partition off its table and away, beside traffic. What is left to do is read from the catalogs, so a
run that was killed on any line is gone on with by the next."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import psycopg
from django.conf import settings
from django.db import OperationalError, connection, transaction

from apps.audit.recording import record
from spendra.kernel.errors import Busy, Conflict

Session = psycopg.Connection[Any]

_ONE_AT_A_TIME = 23487645623906915
_LOCK_TIMEOUT = "2s"
# A client that was killed gives up its locks though the server still waits.
_OPTIONS = f"-c lock_timeout={_LOCK_TIMEOUT} -c client_connection_check_interval=1s -c statement_timeout=0"
_STATE = """
    SELECT i.inhparent IS NOT NULL, coalesce(i.inhdetachpending, false)
    FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid WHERE c.oid = to_regclass(%s)
"""


@contextmanager
def alone() -> Iterator[Session]:
    """The connection for what no transaction may hold, past a transaction pooler; nobody else has one meanwhile.

    Raises Conflict where another run goes on.
    """
    with connection.wrap_database_errors:
        session = psycopg.connect(settings.DATABASE_DIRECT_URL, autocommit=True, options=_OPTIONS)
    with session:
        if session.execute("SELECT pg_try_advisory_lock(%s)", [_ONE_AT_A_TIME]).fetchone() != (True,):
            raise Conflict("Another run of the retention is under way.")
        yield session


def name_of(table: str, month: date) -> str:
    return f"{table}_{month:%Y_%m}"


def is_there(table: str, month: date) -> bool:
    """Attached or not."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name_of(table, month)])
        return bool(cursor.fetchone()[0])


def drop(session: Session, table: str, month: date, *, acting: str, prove: Callable[[str], None]) -> None:
    """The partition is gone, and the audit trail says so; `prove` may refuse it by raising, just before.

    Waits for no lock longer than two seconds: raises Busy where somebody still reads the partition. What was done until
    then stays done, and the next call goes on.
    """
    name = name_of(table, month)
    try:
        with connection.wrap_database_errors:
            _detach(session, table, name)
        prove(name)
        _drop(name, month, acting)
    except OperationalError as error:
        if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            raise
        raise Busy(f"Somebody reads {table}: the next run goes on with {name}.") from error


def _detach(session: Session, table: str, name: str) -> None:
    """CONCURRENTLY, since plain DETACH and DROP lock the parent and stall every settle. It commits `pending` first, and
    waits for older readers then."""
    is_attached, is_pending = session.execute(_STATE, [name]).fetchone() or (False, False)
    if is_attached:
        how = "FINALIZE" if is_pending else "CONCURRENTLY"
        session.execute(f"ALTER TABLE {table} DETACH PARTITION {name} {how}")


@transaction.atomic(durable=True)
def _drop(name: str, month: date, acting: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
        cursor.execute(f"SELECT count(*) FROM {name}")
        rows = cursor.fetchone()[0]
        cursor.execute(f"DROP TABLE {name}")
    record(
        organization_id=None,
        actor=acting,
        action="ledger.drop_partition",
        object_kind="partition",
        object_id=name,
        before={"month": month, "rows": rows},
    )
