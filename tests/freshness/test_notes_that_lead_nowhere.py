"""Where the notes of what moved do not lead from the rules that are held to those in force, all of them are loaded:
notes that were pruned, that a failover lost, that were too many, that have no name here."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection

from apps.budgets.maintenance import prune_changes
from apps.gateway.rules import OrganizationRules
from apps.gateway.rules_following import MOST_CHANGES
from apps.gateway.rules_store import RulesStore
from tests.budgets import money
from tests.databases import Database
from tests.freshness.changes import Memory, remembering
from tests.gateway.company import Company, make_company

REVOKE = "UPDATE keys_key SET revoked_at = clock_timestamp()"
RENAME = "UPDATE orgs_unit SET name = name || '.'"
UNITS = """
INSERT INTO orgs_unit (id, organization_id, kind, name, created_at)
SELECT gen_random_uuid(), id, 'team', 'new ' || n, now() FROM orgs_organization, generate_series(1, %s) n
"""
NOTES = "budgets_governancechange"


@pytest.fixture
def acme(database: Database) -> Company:
    return make_company("")


@pytest.fixture
def psql(database: Database) -> psycopg.Connection[Any]:
    return database.connect()


def follows(database: Database, company: Company, change: Callable[[], object]) -> bool:
    """Whether the notes lead to what the change made of the rules; where they don't, the load instead has it."""
    outcomes: list[OrganizationRules | None] = []

    async def play(memory: Memory) -> None:
        before = memory.rules
        await asyncio.to_thread(change)
        outcomes.append(await memory.follow())
        assert memory.rules == memory.load() != before

    remembering(database.url, [company.organization.id], play)
    return outcomes != [None]


def prune() -> None:
    """In a thread, since Django refuses to be asked beside an event loop."""
    assert prune_changes() > 0
    connection.close()


def test_a_change_is_followed(database: Database, acme: Company, psql: psycopg.Connection[Any]) -> None:
    """The control of what is below."""
    assert follows(database, acme, lambda: psql.execute(REVOKE))


def test_notes_that_are_gone_from_the_middle(database: Database, acme: Company, psql: psycopg.Connection[Any]) -> None:
    def change() -> None:
        for statement in (REVOKE, RENAME, REVOKE):
            psql.execute(statement)
        psql.execute(f"DELETE FROM {NOTES} WHERE table_name = 'orgs_unit'")

    assert not follows(database, acme, change)


def test_notes_that_are_gone_from_the_end(database: Database, acme: Company, psql: psycopg.Connection[Any]) -> None:
    def change() -> None:
        psql.execute(REVOKE)
        psql.execute(f"TRUNCATE {NOTES}")

    assert not follows(database, acme, change)


def test_a_change_that_a_failover_lost_and_whose_number_another_has(
    database: Database, acme: Company, psql: psycopg.Connection[Any]
) -> None:
    """The replica never heard of the revocation that gateways know; it goes on with a change of the same number."""

    def last_note() -> Any:
        return psql.execute(f"SELECT seq, token FROM {NOTES} ORDER BY seq DESC LIMIT 1").fetchone()

    def fail_over(*, lost: int) -> None:
        _, token = last_note()
        with psql.transaction():
            psql.execute("ALTER TABLE keys_key DISABLE TRIGGER governance")
            psql.execute("UPDATE keys_key SET revoked_at = NULL")
        psql.execute("ALTER TABLE keys_key ENABLE ALWAYS TRIGGER governance")
        psql.execute(
            f"UPDATE budgets_governanceversion SET token = note.previous_token FROM {NOTES} note "
            "WHERE note.token = budgets_governanceversion.token AND note.token = %s",
            [token],
        )
        psql.execute(f"DELETE FROM {NOTES} WHERE seq >= %s", [lost])
        psql.execute(f"SELECT setval('{NOTES}_seq_seq', %s, false)", [lost])

    outcomes: list[OrganizationRules | None] = []

    async def play(memory: Memory) -> None:
        psql.execute(REVOKE)
        outcomes.append(await memory.follow())
        lost, lost_token = last_note()
        fail_over(lost=lost)
        psql.execute(RENAME)
        number, token = last_note()
        assert (number, token != lost_token) == (lost, True)
        outcomes.append(await memory.follow())
        assert memory.rules == memory.load()
        assert not any(key.is_revoked for key in memory.load().keys.values())

    remembering(database.url, [acme.organization.id], play)
    assert [outcome is not None for outcome in outcomes] == [True, False]


@pytest.mark.parametrize(("rows", "is_followed"), [(MOST_CHANGES, True), (MOST_CHANGES + 1, False)])
def test_more_rows_than_a_transaction_notes(
    database: Database, acme: Company, psql: psycopg.Connection[Any], rows: int, *, is_followed: bool
) -> None:
    assert follows(database, acme, lambda: psql.execute(UNITS, [rows])) == is_followed


def test_a_transaction_notes_one_row_more_than_is_followed(
    database: Database, acme: Company, psql: psycopg.Connection[Any]
) -> None:
    count = f"SELECT count(*), count(*) FILTER (WHERE row_name = '') FROM {NOTES} WHERE table_name = 'orgs_unit'"
    psql.execute(f"TRUNCATE {NOTES}")
    psql.execute(UNITS, [3 * MOST_CHANGES])
    assert psql.execute(count).fetchone() == (MOST_CHANGES + 1, 1)


def test_more_notes_of_many_transactions_than_are_followed(
    database: Database, acme: Company, psql: psycopg.Connection[Any]
) -> None:
    def change() -> None:
        for name in ("a", "b", "c"):
            psql.execute(UNITS.replace("new", name), [MOST_CHANGES // 2])

    assert not follows(database, acme, change)


@pytest.mark.parametrize("table", ["keys_grant", "budgets_budget", "orgs_unitedge", "providers_provideraccount"])
def test_a_truncated_table(database: Database, acme: Company, psql: psycopg.Connection[Any], table: str) -> None:
    assert not follows(database, acme, lambda: psql.execute(f"TRUNCATE {table} CASCADE"))


def test_a_table_that_this_release_does_not_know(
    database: Database, acme: Company, psql: psycopg.Connection[Any]
) -> None:
    note = "SELECT budgets_note_change_v2(%s, 'policies_of_a_newer_release', 'x')"
    assert not follows(database, acme, lambda: psql.execute(note, [acme.organization.id]))


def test_a_name_that_this_release_cannot_read(database: Database, acme: Company, psql: psycopg.Connection[Any]) -> None:
    async def play() -> None:
        store = RulesStore(database.url)
        key_id = acme.issued.record.key_id
        found = await store.find(key_id, "")
        assert found is not None
        psql.execute(RENAME)
        psql.execute("SELECT budgets_note_change_v2(%s, 'orgs_unit', 'no uuid')", [acme.organization.id])
        await store.refresh(acme.organization.id)
        again = await store.find(key_id, "")
        assert again is not None
        assert again[0].token != found[0].token
        assert {unit.name for unit in again[0].units.values()} == {"Ada's agent."}
        await store.close()

    asyncio.run(play())


def test_pruned_notes_are_missed_by_who_is_behind_only(
    database: Database, acme: Company, psql: psycopg.Connection[Any]
) -> None:
    outcomes: list[bool] = []

    async def play(behind: Memory, up_to_date: Memory) -> None:
        psql.execute(REVOKE)
        outcomes.append(await up_to_date.follow() is not None)
        money.set_clock(psql, money.now_of(psql) + timedelta(hours=1, seconds=1))
        psql.execute(RENAME)
        await asyncio.to_thread(prune)
        assert psql.execute(f"SELECT array_agg(DISTINCT table_name) FROM {NOTES}").fetchone() == (["orgs_unit"],)
        outcomes.append(await up_to_date.follow() is not None)
        outcomes.append(await behind.follow() is not None)
        assert behind.rules == up_to_date.rules == behind.load()

    remembering(database.url, [acme.organization.id] * 2, play)
    assert outcomes == [True, True, False]


def test_the_last_notes_may_be_pruned_too(database: Database, acme: Company, psql: psycopg.Connection[Any]) -> None:
    """What comes next leads on from the token, not from a number."""

    def change() -> None:
        money.set_clock(psql, money.now_of(psql) + timedelta(hours=2))
        prune()
        assert psql.execute(f"SELECT count(*) FROM {NOTES}").fetchone() == (0,)
        psql.execute(REVOKE)

    assert follows(database, acme, change)
