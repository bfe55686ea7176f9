"""Each table that a gateway decides by carries the triggers that move the rules' token. Which ones those are is asked
of Postgres, after a load."""

from dataclasses import dataclass
from uuid import UUID

import psycopg
import pytest
from django.db import connections

from apps.gateway.rules import OrganizationRules
from apps.gateway.rules_loading import RulesLoader
from apps.orgs.models import Organization
from apps.orgs.units import create_unit, move
from tests.databases import Database
from tests.gateway.company import make_company
from tests.gateway.governing import freeze, in_force

# It is what the triggers write, in the transaction of the change.
THE_TOKENS = {"budgets_governanceversion", "budgets_governancechange"}
SCANS = "SELECT relname, coalesce(seq_scan, 0) + coalesce(idx_scan, 0) FROM pg_stat_user_tables"
TRIGGERS = """
    SELECT c.relname, f.proname, t.tgtype, t.tgdeferrable AND t.tginitdeferred
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc f ON f.oid = t.tgfoid
    WHERE t.tgenabled = 'A' AND t.tgqual IS NULL AND t.tgattr = ''::int2vector
"""
ROW, INSERT, DELETE, UPDATE, TRUNCATE = 1, 4, 8, 16, 32


@dataclass(frozen=True)
class Trigger:
    table: str
    function: str
    when: int
    is_deferred: bool


def tables_read(database: Database, loader: RulesLoader, organization_id: UUID) -> set[str]:
    """Those that Postgres counted a scan of, while the loader alone was at work. It counts when a session ends."""
    watcher = database.connect()
    before = settled_scans(watcher)
    assert loader.organization(organization_id) is not None
    assert loader.catalog().catalog.entries
    loader.close()
    after = settled_scans(watcher)
    return {table for table, scans in after.items() if scans > before[table]}


def settled_scans(watcher: psycopg.Connection) -> dict[str, int]:
    """Once every other session has ended, and so told what it did."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    while watcher.execute(others).fetchone() != (0,):
        pass
    watcher.execute("SELECT pg_stat_clear_snapshot()")
    return dict(watcher.execute(SCANS).fetchall())


def ungoverned(database: Database, tables: set[str]) -> set[str]:
    triggers = {Trigger(*row) for row in database.connect().execute(TRIGGERS).fetchall()}
    return {
        table
        for table in tables - THE_TOKENS
        if not {
            Trigger(table, "budgets_bump_v2", ROW | INSERT | DELETE | UPDATE, True),
            Trigger(table, "budgets_bump_all_v2", TRUNCATE, False),
        }
        <= triggers
    }


@pytest.fixture
def acme(database: Database) -> Organization:
    """With a row in each table of rules: Postgres does not look into a table for which it has nothing to join."""
    company = make_company("")
    team = create_unit(organization=company.organization, kind="team", name="Red", acting="test")
    move(company.actor, organization=company.organization, parents=[team], acting="test")
    company.cap(1)
    in_force(company, "review", {})
    freeze(company)
    connections.close_all()
    return company.organization


def test_every_table_that_a_load_reads_is_governed(database: Database, acme: Organization) -> None:
    read = tables_read(database, RulesLoader(database.url), acme.id)
    assert {"keys_key", "keys_grant", "budgets_budget", "orgs_unitedge", "catalog_price"} < read
    assert {"policies_policy", "policies_policyversion", "policies_freeze", "policies_approval"} < read
    assert ungoverned(database, read) == set()


class CuriousLoader(RulesLoader):
    """Reads one table more."""

    def organization(self, organization_id: UUID) -> OrganizationRules | None:
        with self._snapshot() as cursor:
            cursor.execute("SELECT count(*) FROM budgets_period")
        return super().organization(organization_id)


def test_a_table_that_a_load_reads_beside_them_is_noticed(database: Database, acme: Organization) -> None:
    read = tables_read(database, CuriousLoader(database.url), acme.id)
    assert ungoverned(database, read) == {"budgets_period"}


@pytest.mark.parametrize(
    "slip",
    [
        "ALTER TABLE keys_grant ENABLE REPLICA TRIGGER governance",
        "ALTER TABLE keys_grant ENABLE TRIGGER governance",
        "ALTER TABLE keys_grant DISABLE TRIGGER governance_truncate",
        "DROP TRIGGER governance ON keys_grant",
    ],
)
def test_a_trigger_that_does_not_always_fire_is_noticed(database: Database, slip: str) -> None:
    assert ungoverned(database, {"keys_grant"}) == set()
    database.connect().execute(slip)
    assert ungoverned(database, {"keys_grant"}) == {"keys_grant"}
