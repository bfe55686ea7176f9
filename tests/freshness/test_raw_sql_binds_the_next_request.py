"""A change made past every use case, as with psql, binds as well: the triggers are the database's own."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.databases import Database
from tests.freshness.doors import Doors
from tests.gateway.company import Company


@pytest.fixture
def psql(company: Company, shared_database: Database) -> Iterator[psycopg.Connection]:
    with psycopg.connect(shared_database.url, autocommit=True) as connection:
        yield connection


def test_a_key_revoked_by_hand_is_refused_and_works_again(
    company: Company, doors: Doors, psql: psycopg.Connection, rounds: int
) -> None:
    for _ in range(rounds):
        psql.execute("UPDATE keys_key SET revoked_at = now() WHERE key_id = %s", [company.issued.record.key_id])
        doors.expect(401, company.key)
        psql.execute("UPDATE keys_key SET revoked_at = NULL WHERE key_id = %s", [company.issued.record.key_id])
        doors.expect(200, company.key)
    doors.check(asked=2 * rounds)


def test_a_cap_changed_by_hand_refuses_and_allows(
    company: Company, doors: Doors, psql: psycopg.Connection, rounds: int
) -> None:
    budget = company.cap(10**15)
    for _ in range(rounds):
        psql.execute("UPDATE budgets_budget SET amount = 0 WHERE id = %s", [budget.id])
        doors.expect(402, company.key)
        psql.execute("UPDATE budgets_budget SET amount = 10 ^ 15 WHERE id = %s", [budget.id])
        doors.expect(200, company.key)
    doors.check(asked=2 * rounds)


def test_grants_deleted_and_inserted_by_hand_in_one_transaction_with_other_changes(
    company: Company, doors: Doors, psql: psycopg.Connection, rounds: int
) -> None:
    key, organization = company.issued.record.id, company.organization.id
    for number in range(rounds):
        with psql.transaction():
            psql.execute("DELETE FROM keys_grant WHERE key_id = %s", [key])
            psql.execute("UPDATE orgs_unit SET name = %s WHERE id = %s", [f"Agent {number}", company.actor.id])
        doors.expect(403, company.key)
        with psql.transaction():
            psql.execute("UPDATE orgs_unit SET name = %s WHERE id = %s", [f"Ada {number}", company.actor.id])
            psql.execute(
                "INSERT INTO keys_grant (id, organization_id, key_id, pattern) "
                "VALUES (gen_random_uuid(), %s, %s, 'openai/*')",
                [organization, key],
            )
        doors.expect(200, company.key)
    doors.check(asked=2 * rounds)


def test_a_change_in_a_savepoint_binds_and_one_that_is_rolled_back_does_not(
    company: Company, doors: Doors, psql: psycopg.Connection, rounds: int
) -> None:
    revoke = "UPDATE keys_key SET revoked_at = now() WHERE key_id = %s"
    key_id = [company.issued.record.key_id]
    for _ in range(rounds):
        with psql.transaction(), psql.transaction(force_rollback=True):
            psql.execute("SET CONSTRAINTS ALL IMMEDIATE")
            psql.execute(revoke, key_id)
        doors.expect(200, company.key)
        with psql.transaction():
            with psql.transaction(force_rollback=True):
                psql.execute("SET CONSTRAINTS ALL IMMEDIATE")
                psql.execute(
                    "UPDATE orgs_organization SET suspended_at = now() WHERE id = %s", [company.organization.id]
                )
            with psql.transaction():
                psql.execute(revoke, key_id)
        doors.expect(401, company.key)
        psql.execute("UPDATE keys_key SET revoked_at = NULL WHERE key_id = %s", key_id)
    doors.check(asked=2 * rounds)
