"""What the triggers note beside a new token: which rows moved, in the order in which they became visible."""

from typing import Any

import psycopg
import pytest

from apps.orgs.models import Organization
from tests.budgets import money
from tests.concurrency.callers import Connection, meanwhile, until, waits_for_lock
from tests.databases import Database

NO_FENCE = """
    CREATE OR REPLACE FUNCTION budgets_fence_v1() RETURNS bigint LANGUAGE sql VOLATILE
        AS 'SELECT (random() * 1e15)::bigint'
"""
NEW_UNIT = """
    INSERT INTO orgs_unit (id, organization_id, kind, name, created_at)
    VALUES (gen_random_uuid(), %s, 'team', gen_random_uuid(), now())
"""


@pytest.fixture
def session(database: Database) -> Connection:
    return database.connect()


@pytest.fixture
def acme(session: Connection) -> Organization:
    acme = money.make_organization()
    money.make_key(acme, money.make_unit(acme))
    return acme


def numbers(watcher: Connection) -> list[int]:
    return [row[0] for row in watcher.execute("SELECT seq FROM budgets_governancechange ORDER BY seq")]


def notes(session: Connection, after: int) -> list[Any]:
    return session.execute(
        "SELECT table_name, row_name FROM budgets_governancechange WHERE seq > %s ORDER BY seq", [after]
    ).fetchall()


def seen_while_an_earlier_change_is_open(database: Database, acme: Organization) -> tuple[list[int], list[int]]:
    """The numbers that are visible before and after the commit of a change that another organization's came after."""
    other = money.make_organization("other")
    first, second, watcher = (database.connect() for _ in range(3))
    before = numbers(watcher)[-1]
    first.execute("BEGIN")
    first.execute(NEW_UNIT, [acme.id])
    first.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with meanwhile(lambda: second.execute(NEW_UNIT, [other.id])) as changed:
        until(lambda: changed.done() or waits_for_lock(watcher, second.info.backend_pid))
        seen = [number for number in numbers(watcher) if number > before]
        first.execute("COMMIT")
    return seen, [number for number in numbers(watcher) if number > before]


def test_without_the_fence_a_number_is_seen_before_a_smaller_one(database: Database, acme: Organization) -> None:
    """The control."""
    database.connect().execute(NO_FENCE)
    seen, later = seen_while_an_earlier_change_is_open(database, acme)
    assert seen == later[1:]
    assert len(later) == 2


def test_who_sees_a_number_sees_every_smaller_one(database: Database, acme: Organization) -> None:
    seen, later = seen_while_an_earlier_change_is_open(database, acme)
    assert seen == []
    assert len(later) == 2


@pytest.mark.parametrize(
    ("change", "noted"),
    [
        ("UPDATE orgs_unit SET name = 'Eve'", "SELECT 'orgs_unit', id::text FROM orgs_unit"),
        ("UPDATE keys_key SET revoked_at = now()", "SELECT 'keys_key', key_id FROM keys_key"),
        (
            "INSERT INTO keys_grant (id, organization_id, key_id, pattern) "
            "SELECT gen_random_uuid(), organization_id, id, '*' FROM keys_key",
            "SELECT 'keys_grant', id::text FROM keys_key",
        ),
        (
            "UPDATE keys_key SET key_id = 'another'",
            "VALUES ('keys_key', 'another'), ('keys_key', (SELECT 'key-' || actor_id FROM keys_key))",
        ),
        ("DELETE FROM keys_key", "SELECT 'keys_key', 'key-' || id FROM orgs_unit"),
        ("TRUNCATE keys_grant", "VALUES ('keys_grant', '')"),
    ],
)
def test_a_note_names_what_gateways_read_again(
    session: Connection, acme: Organization, change: str, noted: str
) -> None:
    session.execute("DELETE FROM budgets_governanceversion WHERE id <> %s", [acme.id])
    last = numbers(session)[-1]
    session.execute(change)
    assert notes(session, last) == session.execute(noted).fetchall()


def test_a_row_that_changes_its_organization_is_noted_in_both(session: Connection, acme: Organization) -> None:
    other = money.make_organization("other")
    last = numbers(session)[-1]
    session.execute("UPDATE keys_key SET organization_id = %s", [other.id])
    noted = session.execute("SELECT organization_id FROM budgets_governancechange WHERE seq > %s", [last]).fetchall()
    assert {row[0] for row in noted} == {acme.id, other.id}


def test_a_change_that_is_rolled_back_leaves_no_note(session: Connection, acme: Organization) -> None:
    last = numbers(session)[-1]
    with session.transaction():
        with session.transaction(force_rollback=True):
            session.execute("SET CONSTRAINTS ALL IMMEDIATE")
            session.execute("UPDATE keys_key SET revoked_at = now()")
        session.execute("UPDATE orgs_unit SET name = 'Eve'")
    assert [table for table, _ in notes(session, last)] == ["orgs_unit"]


def test_each_transactions_first_note_leads_on_from_the_token_before(session: Connection, acme: Organization) -> None:
    last = numbers(session)[-1]
    token = money.tokens_of(session, acme)["organization_token"]
    for _ in range(3):
        with session.transaction():
            session.execute("UPDATE keys_key SET revoked_at = now()")
            session.execute("UPDATE orgs_unit SET name = name || '.'")
    links = session.execute(
        "SELECT previous_token::text, token::text FROM budgets_governancechange WHERE seq > %s ORDER BY seq", [last]
    ).fetchall()
    assert len(links) == 6
    for (previous, given), (none, same) in zip(links[::2], links[1::2], strict=True):
        assert (previous, none, same) == (token, None, given)
        token = given
    assert token == money.tokens_of(session, acme)["organization_token"]


def test_a_table_emptied_after_constraints_were_made_immediate_gets_another_token(
    session: Connection, acme: Organization
) -> None:
    """And one note for all there is, which what moves after it in the same transaction is part of."""
    last = numbers(session)[-1]
    with session.transaction():
        session.execute("SET CONSTRAINTS ALL IMMEDIATE")
        session.execute("UPDATE keys_key SET revoked_at = now()")
        session.execute("TRUNCATE keys_grant")
        session.execute("UPDATE keys_key SET revoked_at = NULL")
    tokens = session.execute(
        "SELECT token::text, row_name FROM budgets_governancechange "
        "WHERE seq > %s AND organization_id = %s ORDER BY seq",
        [last, acme.id],
    ).fetchall()
    assert [row[1] == "" for row in tokens] == [False, True]
    assert tokens[0][0] != tokens[1][0] == money.tokens_of(session, acme)["organization_token"]


def test_a_frozen_snapshot_cannot_link_to_a_token_that_is_gone(
    database: Database, session: Connection, acme: Organization
) -> None:
    """REPEATABLE READ reads the token of before the other change: it is refused, as any such update."""
    late = database.connect()
    late.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    late.execute("UPDATE keys_key SET revoked_at = now()")
    session.execute(NEW_UNIT, [acme.id])
    with pytest.raises(psycopg.errors.SerializationFailure):
        late.execute("COMMIT")
