"""Whatever changes a rule, in whatever way, gives its organization a token that was never there before."""

from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from apps.budgets.models import BudgetOverride
from apps.orgs.models import Organization
from apps.policies.models import Approval, Freeze, Policy, PolicyVersion, Review
from tests.budgets import money
from tests.concurrency.callers import Connection, deadlocks, in_parallel
from tests.databases import Database

OF_THE_ORGANIZATION = (
    "orgs_organization", "orgs_unit", "orgs_unitedge", "keys_key", "keys_grant", "providers_provideraccount",
    "budgets_budget", "budgets_budgetoverride", "policies_policy", "policies_policyversion", "policies_freeze",
    "policies_approval",
)  # fmt: skip
OF_EVERYBODY = ("catalog_catalogmodel", "catalog_modelalias", "catalog_priceversion", "catalog_price")
TOUCH = "UPDATE {} SET id = id"


@pytest.fixture
def session(database: Database) -> Connection:
    return database.connect()


@pytest.fixture
def acme(session: Connection) -> Organization:
    """An organization with a row in each governed table."""
    acme = money.make_organization()
    parent, child = money.make_unit(acme, "Team", "team"), money.make_unit(acme)
    budget = money.make_budget(acme, 100)
    today = datetime.now(UTC)
    BudgetOverride.objects.create(
        budget=budget, organization=acme, amount=1, starts_at=today, ends_at=today + timedelta(days=1)
    )
    money.make_key(acme, child)
    session.execute(
        "INSERT INTO orgs_unitedge (id, organization_id, parent_id, child_id) VALUES (gen_random_uuid(), %s, %s, %s)",
        (acme.id, parent.id, child.id),
    )
    session.execute(
        "INSERT INTO keys_grant (id, organization_id, key_id, pattern) "
        "SELECT gen_random_uuid(), organization_id, id, '*' FROM keys_key"
    )
    columns = {"organization_id": str(acme.id), "provider": "openai"}
    insert_whatever(session, "providers_provideraccount", columns)
    make_policies(acme)
    return acme


def make_policies(acme: Organization) -> None:
    policy = Policy.objects.create(organization=acme, name="models", kind="allowlist")
    PolicyVersion.objects.create(organization=acme, policy=policy, number=1, rule={}, created_by="ann@example.com")
    now = datetime.now(UTC)
    Freeze.objects.create(organization=acme, target_kind="organization", target_id=acme.id, frozen_at=now)
    asked = {"key_id": "key", "provider": "openai", "model": "gpt-test", "created_at": now}
    ids = {"organization_id": acme.id, "actor_id": acme.id, "policy_version_id": policy.id}
    review = Review.objects.create(**asked, **ids, asked_nanos=1)
    Approval.objects.create(**asked, organization=acme, review=review, max_nanos=1, valid_until=now)


def insert_whatever(session: Connection, table: str, values: dict[str, str]) -> None:
    """A row with something in each column that needs it."""
    needed = session.execute(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_name = %s AND is_nullable = 'NO' AND column_default IS NULL",
        (table,),
    ).fetchall()
    something = {"uuid": money.NIL, "boolean": "false", "timestamp with time zone": "2025-01-01T00:00:00Z"}
    row = {name: values.get(name, something.get(kind, "1")) for name, kind in needed if name != "id"}
    session.execute(
        psycopg.sql.SQL("INSERT INTO {} (id, {}) VALUES (gen_random_uuid(), {})").format(
            psycopg.sql.Identifier(table),
            psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, row)),
            psycopg.sql.SQL(", ").join(map(psycopg.sql.Literal, row.values())),
        )
    )


def tokens(session: Connection) -> dict[str, str]:
    return dict(session.execute("SELECT id::text, token::text FROM budgets_governanceversion").fetchall())


def moved(session: Connection, before: dict[str, str]) -> set[str]:
    return {id for id, token in tokens(session).items() if token != before.get(id)}


@pytest.mark.parametrize("table", OF_THE_ORGANIZATION)
def test_raw_sql_on_an_organizations_rules_moves_its_token_alone(
    session: Connection, acme: Organization, table: str
) -> None:
    money.make_organization("other")
    before = tokens(session)
    changed = session.execute(f"UPDATE {table} SET id = id WHERE {_owner(table)} = %s", (acme.id,))
    assert changed.rowcount >= 1
    assert moved(session, before) == {str(acme.id)}


def _owner(table: str) -> str:
    return "id" if table == "orgs_organization" else "organization_id"


@pytest.mark.parametrize("table", ["keys_grant", "orgs_unitedge", "budgets_budgetoverride", "policies_approval"])
def test_a_deleted_row_moves_the_token(session: Connection, acme: Organization, table: str) -> None:
    before = tokens(session)
    session.execute(f"DELETE FROM {table}")
    assert moved(session, before) == {str(acme.id)}


def test_raw_sql_on_the_catalog_moves_everybodys_token(session: Connection, acme: Organization) -> None:
    before = tokens(session)
    changed = session.execute("UPDATE catalog_catalogmodel SET id = id WHERE id IN "
                              "(SELECT id FROM catalog_catalogmodel LIMIT 1)")  # fmt: skip
    assert changed.rowcount == 1
    assert moved(session, before) == {money.NIL}


@pytest.mark.parametrize("table", [*OF_THE_ORGANIZATION, *OF_EVERYBODY])
def test_truncate_moves_every_token(session: Connection, acme: Organization, table: str) -> None:
    before = tokens(session)
    session.execute(f"TRUNCATE {table} CASCADE")
    assert moved(session, before) == set(before)


@pytest.mark.parametrize("table", [*OF_THE_ORGANIZATION, *OF_EVERYBODY])
def test_every_governed_table_fires_for_each_change_in_every_session(session: Connection, table: str) -> None:
    rows = session.execute(
        "SELECT tgname, tgenabled::text, tgdeferrable, tgtype FROM pg_trigger "
        "WHERE tgrelid = %s::regclass AND tgname LIKE 'governance%%'",
        (table,),
    ).fetchall()
    row, insert, delete, update, truncate = 1, 4, 8, 16, 32
    assert sorted(rows) == [
        ("governance", "A", True, row | insert | delete | update),
        ("governance_truncate", "A", False, truncate),
    ]


def test_a_session_that_skips_triggers_moves_the_token_too(
    database: Database, session: Connection, acme: Organization
) -> None:
    before = tokens(session)
    parts = urlsplit(database.url)
    superuser = urlunsplit(parts._replace(netloc="postgres" + parts.netloc.removeprefix(parts.username or "")))
    with psycopg.connect(superuser, options="-c session_replication_role=replica") as replica:
        replica.execute("UPDATE keys_key SET revoked_at = now()")
    assert moved(session, before) == {str(acme.id)}


def test_saving_a_stale_copy_of_a_row_never_brings_a_token_back(session: Connection, acme: Organization) -> None:
    stale = Organization.objects.get(id=acme.id)
    seen = [tokens(session)[str(acme.id)]]
    for change in ("time_zone = 'Asia/Tokyo'", "name = 'Other'"):
        session.execute(f"UPDATE orgs_organization SET {change}")
        seen.append(tokens(session)[str(acme.id)])
    stale.save()
    seen.append(tokens(session)[str(acme.id)])
    assert len(set(seen)) == 4


def test_a_change_that_is_rolled_back_moves_nothing(session: Connection, acme: Organization) -> None:
    before = tokens(session)
    session.execute("BEGIN")
    session.execute("UPDATE keys_key SET revoked_at = now()")
    session.execute("SET CONSTRAINTS ALL IMMEDIATE")
    session.execute("ROLLBACK")
    assert moved(session, before) == set()


def test_a_change_after_constraints_were_made_immediate_is_covered_too(session: Connection, acme: Organization) -> None:
    """The token moves once a transaction, at the first trigger; nobody sees it, nor any change, before the commit."""
    before = tokens(session)
    session.execute("BEGIN")
    session.execute("UPDATE keys_key SET revoked_at = now()")
    session.execute("SET CONSTRAINTS ALL IMMEDIATE")
    session.execute("SAVEPOINT s")
    session.execute("UPDATE budgets_budget SET amount = 1")
    session.execute("ROLLBACK TO s")
    session.execute("UPDATE budgets_budget SET amount = 2")
    session.execute("COMMIT")
    assert moved(session, before) == {str(acme.id)}


def test_a_row_that_changes_its_organization_moves_both_tokens(session: Connection, acme: Organization) -> None:
    other = money.make_organization("other")
    before = tokens(session)
    session.execute("UPDATE budgets_budget SET organization_id = %s", (other.id,))
    assert moved(session, before) == {str(acme.id), str(other.id)}


def test_two_bulk_changes_over_two_organizations_do_not_deadlock(database: Database, acme: Organization) -> None:
    other = money.make_organization("other")
    sessions = [database.connect() for _ in range(2)]

    def change(session: Connection, first: Organization, second: Organization) -> None:
        for _ in range(40):
            with session.transaction():
                for organization in (first, second):
                    session.execute(
                        "INSERT INTO orgs_unit (id, organization_id, kind, name, created_at) "
                        "VALUES (gen_random_uuid(), %s, 'team', gen_random_uuid(), now())",
                        (organization.id,),
                    )

    in_parallel(partial(change, sessions[0], acme, other), partial(change, sessions[1], other, acme))
    assert deadlocks(sessions[0]) == 0
