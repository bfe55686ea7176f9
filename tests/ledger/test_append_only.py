"""Entries and events refuse every change, on each partition, for a superuser and in a session that skips triggers."""

from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.db import transaction
from pytest_django.plugin import DjangoDbBlocker

from apps.audit.recording import record
from apps.budgets import maintenance
from tests import databases
from tests.budgets import money
from tests.databases import Copies, Database

TABLES = ["ledger_ledgerentry", "ledger_spendevent"]


@pytest.fixture(scope="module")
def ledger(database_copies: Copies, django_db_blocker: DjangoDbBlocker) -> Iterator[Database]:
    """One database for all: what is tried on it changes nothing."""
    copy = database_copies.take()
    with django_db_blocker.unblock(), databases.as_default(copy):
        session = copy.connect()
        acme = money.make_organization()
        request = money.a_request(acme, money.tokens_of(session, acme), [])
        money.reserve(session, request)
        money.end(session, money.an_ending(request))
        with transaction.atomic():
            record(organization_id=acme.id, actor="ann", action="orgs.create", object_kind="organization", object_id=1)
        for table in TABLES:
            put_a_row_into_each_partition(session, table)
        yield copy
    database_copies.give_back(copy)


def superuser_url(url: str) -> str:
    """Of the embedded Postgres: its superuser has the password of the ordinary role."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc="postgres" + parts.netloc.removeprefix(parts.username or "")))


def tables_of(session: psycopg.Connection, table: str) -> list[str]:
    rows = session.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", (table,)
    ).fetchall()
    return [table, *(name for (name,) in rows)]


def put_a_row_into_each_partition(session: psycopg.Connection, table: str) -> None:
    """A row trigger fires only where there is a row."""
    _, *partitions = tables_of(session, table)
    for name in partitions:
        year, month = name.split("_")[-2:]
        session.execute(
            f"INSERT INTO {table} SELECT made.* FROM (SELECT * FROM {table} ORDER BY booked_at LIMIT 1) kept, "
            f"jsonb_populate_record(NULL::{table}, to_jsonb(kept) || jsonb_build_object('booked_at', %s::text)) made",
            (f"{year}-{month}-15T12:00:00Z",),
        )
    for name in partitions:
        assert session.execute(f"SELECT FROM {name}").rowcount > 0


@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("statement", ["UPDATE {} SET model = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_ledger_refuses_it(table: str, statement: str, role: str, ledger: Database) -> None:
    with psycopg.connect(superuser_url(ledger.url), autocommit=True) as session:
        session.execute(f"SET session_replication_role = {role}")
        tables = tables_of(session, table)
        for name in tables:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                session.execute(statement.format(name))
        assert len(tables) == 15


@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET reason = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_records_of_who_changed_what_refuse_it_too(statement: str, role: str, ledger: Database) -> None:
    with psycopg.connect(superuser_url(ledger.url), autocommit=True) as session:
        session.execute(f"SET session_replication_role = {role}")
        assert session.execute("SELECT FROM audit_auditrecord").rowcount > 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            session.execute(statement.format("audit_auditrecord"))


@pytest.mark.parametrize("table", TABLES)
def test_every_partition_carries_both_triggers_always(table: str, ledger: Database) -> None:
    session = ledger.connect()
    for name in tables_of(session, table):
        rows = session.execute(
            "SELECT tgname, tgenabled::text FROM pg_trigger "
            "WHERE tgrelid = %s::regclass AND tgname LIKE 'append_only%%'",
            (name,),
        ).fetchall()
        assert dict(rows) == {"append_only": "A", "append_only_truncate": "A"}


def test_a_partition_made_later_is_protected_too(database: Database) -> None:
    session = database.connect()
    later = money.now_of(session).replace(year=2044, month=2, day=1)
    money.set_clock(session, later)
    maintenance.ensure_partitions()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("TRUNCATE ledger_ledgerentry_2044_02")
