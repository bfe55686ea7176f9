"""Rows that every request changes stay on their page, are vacuumed by number, and vacuum takes no lock that stalls."""

import pytest

from tests.databases import Database

HOT = {"fillfactor=20", "autovacuum_vacuum_scale_factor=0", "autovacuum_vacuum_threshold=500"}
ROLLUP = {
    "fillfactor=80", "autovacuum_vacuum_scale_factor=0.02", "autovacuum_vacuum_threshold=2000", "vacuum_truncate=off",
}  # fmt: skip
QUEUE = {
    "autovacuum_vacuum_scale_factor=0", "autovacuum_vacuum_threshold=5000",
    "autovacuum_vacuum_insert_scale_factor=0", "autovacuum_vacuum_insert_threshold=50000",
    "autovacuum_analyze_scale_factor=0", "autovacuum_analyze_threshold=50000", "vacuum_truncate=off",
}  # fmt: skip
STORED = {
    "budgets_period": HOT | {"vacuum_truncate=off"},
    "budgets_governanceversion": HOT,
    "budgets_gatewayprocess": HOT,
    "outbox_outboxmessage": QUEUE,
    **{f"ledger_{of}rollup": ROLLUP for of in ("hour", "day", "key", "period")},
}


@pytest.mark.parametrize("table", STORED)
def test_a_hot_table_is_stored_as_its_changes_need(database: Database, table: str) -> None:
    (options,) = database.connect().execute("SELECT reloptions FROM pg_class WHERE relname = %s", [table]).fetchone()
    assert set(options or ()) == STORED[table]


def test_no_month_of_reservations_gives_pages_back(database: Database) -> None:
    months = database.connect().execute(
        "SELECT c.reloptions FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = 'budgets_reservation'::regclass"
    )
    assert {tuple(options or ()) for (options,) in months.fetchall()} == {("vacuum_truncate=off",)}
