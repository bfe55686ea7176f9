"""What the benchmark of changing rules changes is what it says, and nothing that fails goes unnoticed."""

import itertools

import psycopg
import pytest

from apps.orgs.models import Organization
from bench import many_callers, many_rules
from bench.changes import Changer
from bench.changing import KINDS, Company, archived_units
from bench.spendra_target import Database as Served
from tests.databases import Database
from tests.gateway.company import make_company

STEPS = 4
TOKENS = "SELECT count(DISTINCT token) FROM budgets_governancechange"
RULE_TABLES = {
    "keys_key", "keys_grant", "orgs_unit", "orgs_unitedge", "budgets_budget", "budgets_budgetoverride",
    "policies_policy", "policies_policyversion", "policies_freeze", "policies_approval",
}  # fmt: skip


@pytest.fixture
def big(database: Database) -> Database:
    make_company("")
    Organization.objects.update(slug="bench")
    with psycopg.connect(database.url) as connection:
        many_rules.add(connection, "bench", share=0.1)
    database.connect().execute("TRUNCATE budgets_governancechange")
    return database


def test_each_step_of_each_kind_is_one_change_of_the_rules(big: Database) -> None:
    company, session = Company("bench"), big.connect()
    made = 0
    for kind in KINDS:
        for _ in itertools.islice(kind(company), STEPS):
            made += 1
            assert session.execute(TOKENS).fetchone() == (made,), kind.__name__
    tables = {row[0] for row in session.execute("SELECT DISTINCT table_name FROM budgets_governancechange")}
    assert tables == RULE_TABLES
    assert session.execute("SELECT count(*) >= %s FROM audit_auditrecord", [STEPS * len(KINDS)]).fetchone()[0]


def test_changes_are_counted_in_the_database(big: Database) -> None:
    changer = Changer(Served(big.url, 0))
    try:
        seen = changer.beside(lambda: {"failed": 0}, {"changes": 24, "seconds": 0.5}, planned=24)
    finally:
        changer.end()
    assert seen["changes"] == seen["planned"] == 24
    assert seen["changer_cores"] > 0


def test_changes_that_come_too_late_are_missing(big: Database) -> None:
    changer = Changer(Served(big.url, 0))
    try:
        seen = changer.beside(dict, {"changes": 100_000, "seconds": 0.1}, planned=100_000)
    finally:
        changer.end()
    assert 0 < seen["changes"] < seen["planned"]


def test_a_change_that_fails_fails_the_run(big: Database) -> None:
    changer = Changer(Served(big.url, 0))
    try:
        big.connect().execute("DROP TABLE policies_approval CASCADE")
        with pytest.raises(RuntimeError, match=r"bench\.changing ended with 1"):
            changer.beside(dict, {"changes": 24, "seconds": 0.1}, planned=24)
    finally:
        changer.end()


def test_no_unit_is_archived_whose_policies_are_changed(big: Database) -> None:
    company = Company("bench")
    archived = {unit.id for unit in itertools.islice(archived_units(company), 60)}
    assert len(archived) == 30
    assert not archived & {policy.unit_id for policy in company.policies}


def test_callers_spend_with_keys_of_the_many_units(big: Database) -> None:
    keys = many_callers.issue("bench", count=40)
    company = Company("bench")
    spending = {agent.id for agent in company.agents} - {agent.id for agent in company.idle_agents}
    assert len(set(keys)) == len(spending) == 40
