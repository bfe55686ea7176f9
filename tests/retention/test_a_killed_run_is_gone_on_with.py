"""SIGKILL between any two steps: the books are right, requests go on, and the next run finishes."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from apps.budgets import retention
from apps.budgets.connecting import SERVER_OPTIONS
from tests.databases import ROOT, Database
from tests.retention.months import TABLES, Past, differences, make_past, partitions

MONTHS = 5  # of six: one is dropped


@pytest.fixture
def past(database: Database) -> Past:
    return make_past(database)


@contextmanager
def holding(database: Database, statement: str) -> Iterator[psycopg.Connection]:
    holder = database.connect(autocommit=False)
    holder.execute(statement)
    yield holder
    holder.rollback()


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


def one(connection: psycopg.Connection, statement: str) -> bool:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return bool(row[0])


def killed_when(past: Past, is_so: str, *, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Runs the command until the statement says true, kills it there, and waits until the server has noticed."""
    command = [sys.executable, "manage.py", "retention_apply", "--months", str(MONTHS)]
    run = subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: one(past.connection, is_so))
        meanwhile()
    finally:
        run.kill()
        run.wait()
    alone = "SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 23487645623906915 % 4294967296"
    wait_for(lambda: one(past.connection, alone))


def requests_go_on(database: Database, past: Past) -> None:
    """Each within the time-outs of a gateway's connection."""
    hot = database.connect(options=SERVER_OPTIONS)
    plain, past.shop.connection = past.connection, hot
    past.spend_as_usual()
    past.shop.connection = plain


def run_again(past: Past) -> None:
    assert [done.state for done in retention.apply(months=MONTHS, acting="ann@example.com")] == ["dropped"]
    assert partitions(past.connection, past.months[0]) == []
    assert differences() == []


@pytest.mark.parametrize("table", TABLES)
def test_archived_and_not_detached(database: Database, past: Past, table: str) -> None:
    waits = f"SELECT count(*) > 0 FROM pg_locks WHERE relation = '{table}'::regclass AND NOT granted"
    with holding(database, f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE"):
        killed_when(past, waits)
    assert table in partitions(past.connection, past.months[0])
    assert differences() == []
    requests_go_on(database, past)
    run_again(past)


@pytest.mark.parametrize("table", TABLES)
def test_pending_behind_a_reader(database: Database, past: Past, table: str) -> None:
    pending = f"SELECT count(*) > 0 FROM pg_inherits WHERE inhparent = '{table}'::regclass AND inhdetachpending"
    with holding(database, f"SELECT count(*) FROM {table}"):
        killed_when(past, pending, meanwhile=lambda: requests_go_on(database, past))
        requests_go_on(database, past)
        assert differences() == []
    assert one(past.connection, pending)
    assert differences() == []
    run_again(past)


@pytest.mark.parametrize("table", TABLES)
def test_detached_and_not_dropped(database: Database, past: Past, table: str) -> None:
    with holding(database, f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE"):
        [done] = retention.apply(months=MONTHS, acting="ann@example.com")
        assert done.state == "archived"
    waits = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'audit_auditrecord'::regclass AND NOT granted"
    with holding(database, "LOCK TABLE audit_auditrecord IN EXCLUSIVE MODE"):
        killed_when(past, waits)
    name = f"{table}_{past.months[0]:%Y_%m}"
    assert not one(past.connection, f"SELECT count(*) > 0 FROM pg_inherits WHERE inhrelid = to_regclass('{name}')")
    assert table in partitions(past.connection, past.months[0])
    assert differences() == []
    requests_go_on(database, past)
    run_again(past)


def test_summed_and_not_booked(database: Database, past: Past) -> None:
    waits = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'budgets_verifiedposition'::regclass AND NOT granted"
    assert differences() == []
    with holding(database, "LOCK TABLE budgets_verifiedposition IN ROW EXCLUSIVE MODE"):
        killed_when(past, waits)
    assert one(past.connection, "SELECT count(*) > 0 FROM budgets_archivingsum")
    assert differences() == []
    requests_go_on(database, past)
    run_again(past)
    assert one(past.connection, "SELECT count(*) = 0 FROM budgets_archivingsum")


def test_a_detached_partition_with_other_entries_than_archived_stays(database: Database, past: Past) -> None:
    with holding(database, "LOCK TABLE ledger_ledgerentry IN SHARE UPDATE EXCLUSIVE MODE"):
        retention.apply(months=MONTHS, acting="ann@example.com")
    name = f"ledger_ledgerentry_{past.months[0]:%Y_%m}"
    past.connection.execute(f"ALTER TABLE ledger_ledgerentry DETACH PARTITION {name} CONCURRENTLY")
    past.connection.execute(f"DELETE FROM {name} WHERE cause = 'settled'")
    with pytest.raises(Exception, match="has 5 entries, and 7 are archived"):
        retention.apply(months=MONTHS, acting="ann@example.com")
    assert partitions(past.connection, past.months[0])[0] == "ledger_ledgerentry"
