from datetime import UTC, datetime

import pytest

from apps.budgets import maintenance
from tests.budgets import money
from tests.databases import Database


def test_a_migrated_database_has_partitions_for_twelve_months_ahead(database: Database) -> None:
    assert maintenance.partitions_ahead() == 12
    assert maintenance.ensure_partitions() == 0


def test_partitions_follow_the_calendar(database: Database) -> None:
    watcher = database.connect()
    year = money.now_of(watcher).year + 2
    money.set_clock(watcher, datetime(year, 12, 15, tzinfo=UTC))
    assert maintenance.partitions_ahead() == -1
    assert maintenance.ensure_partitions() == 3 * 14
    assert maintenance.partitions_ahead() == 12


def test_a_reader_does_not_keep_partitions_from_being_made(database: Database) -> None:
    reader = database.connect(autocommit=False)
    for table in ("ledger_ledgerentry", "ledger_spendevent", "budgets_reservation"):
        reader.execute(f"SELECT count(*) FROM {table}")
    money.set_clock(database.connect(), datetime(2040, 1, 1, tzinfo=UTC))
    assert maintenance.ensure_partitions() == 3 * 14


def test_a_lock_that_stays_taken_is_given_up(database: Database) -> None:
    holder = database.connect(autocommit=False)
    holder.execute("LOCK TABLE ledger_ledgerentry IN ACCESS EXCLUSIVE MODE")
    money.set_clock(database.connect(), datetime(2040, 1, 1, tzinfo=UTC))
    with pytest.raises(Exception, match="lock timeout"):
        maintenance.ensure_partitions()
