"""One read of the whole catalog: few statements, quick, and only what can still matter."""

from datetime import UTC, datetime, timedelta

import psycopg

from apps.catalog import loading, queries
from apps.catalog.bundles import EVER_SINCE
from tests.catalog.entries import bundle, model, plain, snapshot
from tests.databases import Database

MARCH = datetime(2027, 3, 1, tzinfo=UTC)


def set_clock(database: Database, at: datetime) -> None:
    database.connect().execute(
        "CREATE OR REPLACE FUNCTION spendra_now_v1() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
        f"$$ SELECT timestamptz '{at.isoformat()}' $$"
    )


def test_names_and_dated_names_lead_to_the_same_entry(database: Database) -> None:
    catalog = snapshot(database)

    assert catalog.resolve("openai", "gpt-4.1-mini-2025-04-14") is catalog.resolve("openai", "gpt-4.1-mini")
    assert catalog.resolve("anthropic", "claude-haiku-4-5-20251001").model == "claude-haiku-4-5"
    assert catalog.resolve("openai", "gpt-4.1-mini-2099-01-01") is None
    assert catalog.resolve("anthropic", "gpt-4.1-mini") is None


def test_a_name_goes_before_an_alias(database: Database) -> None:
    loading.load_bundle(bundle(model("toy", aliases=("toy-b",))), source="sync", acting="test")
    loading.load_bundle(bundle(model("toy-b", max_output_tokens=1)), source="sync", acting="test")

    assert snapshot(database).resolve("openai", "toy-b").model == "toy-b"


def test_it_takes_two_statements(database: Database) -> None:
    statements: list[str] = []

    class CountingCursor(psycopg.Cursor):
        def execute(self, query: str, *arguments: object, **options: object) -> "CountingCursor":
            statements.append(query)
            return super().execute(query, *arguments, **options)

    with database.connect(cursor_factory=CountingCursor) as connection, connection.cursor() as cursor:
        queries.load_snapshot(cursor)

    assert len(statements) == 2


def test_versions_replaced_for_good_are_left_out(database: Database) -> None:
    dated = {EVER_SINCE: plain(1), MARCH: plain(2), MARCH + timedelta(days=30): plain(3)}
    loading.load_bundle(bundle(model(prices=dated)), source="sync", acting="test")

    set_clock(database, MARCH - timedelta(days=1))
    assert versions(database) == [3, 2, 1]
    set_clock(database, MARCH + timedelta(hours=23))
    assert versions(database) == [3, 2, 1]
    set_clock(database, MARCH + timedelta(days=2))
    assert versions(database) == [3, 2]
    set_clock(database, MARCH + timedelta(days=40))
    assert versions(database) == [3]


def versions(database: Database) -> list[int]:
    return [version.version for version in snapshot(database).resolve("openai", "toy").versions]
