"""A route outlives a change of the rules only where it would be worked out alike from the rules after it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from apps.gateway.routes_kept import KeptRoutes
from apps.gateway.routing import Route, find_route
from apps.gateway.rules import CatalogRules, OrganizationRules
from apps.gateway.rules_loading import RulesLoader
from spendra.kernel.errors import Refused
from tests.databases import Database
from tests.freshness.changes import Change, History, Memory, commit, histories, remembering

MODELS = (("openai", "gpt-4.1-mini"), ("openai", "gpt-4.1"), ("google", "gemini-2.5-flash"))
THAW = "UPDATE policies_freeze SET thawed_at = now() WHERE thawed_at IS NULL"
AT = datetime.now(UTC)


def catalog_of(database: Database) -> CatalogRules:
    loader = RulesLoader(database.url)
    catalog = loader.catalog()
    loader.close()
    return catalog


def work_out(rules: OrganizationRules, catalog: CatalogRules) -> dict[tuple[str, str, str], Route]:
    """Every route there is, as requests come to find them."""
    for key in rules.keys.values():
        for provider, model in MODELS:
            try:
                find_route(rules, catalog, key, provider=provider, model=model, at=AT)
            except Refused:
                rules.routes.pop((key.key_id, provider, model), None)
    return rules.routes


def kept_in(rules: OrganizationRules, catalog: CatalogRules) -> dict[tuple[str, str, str], Route]:
    names = [(key_id, *model) for key_id in rules.keys for model in MODELS]
    return {name: route for name in names if (route := rules.kept.find(name, rules, catalog)) is not None}


def assert_alike(rules: OrganizationRules, catalog: CatalogRules) -> None:
    anew = work_out(replace(rules, routes={}, kept=KeptRoutes()), catalog)
    for name, route in kept_in(rules, catalog).items():
        assert route.rules is rules
        assert replace(route, rules=anew[name].rules) == anew[name], name


@given(history=histories)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_after_any_history_of_changes(database: Database, organizations: Sequence[UUID], history: History) -> None:
    catalog = catalog_of(database)

    async def play(*memories: Memory) -> None:
        for step in history:
            for memory in memories:
                assert memory.rules is not None
                work_out(memory.rules, catalog)
            for made, stays in [([Change(THAW, 0)], True), *step]:
                commit(writer, made, organizations, stays=stays)
            for memory in memories:
                await memory.follow()
                assert_alike(memory.rules, catalog)

    with psycopg.connect(database.url, autocommit=True) as writer:
        remembering(database.url, organizations, play)


def kept_after(database: Database, organizations: Sequence[UUID], statement: str) -> set[str]:
    """The names of the actors whose routes outlive the change; the first organization's is called Ada's agent."""
    writer, catalog = database.connect(), catalog_of(database)
    writer.execute(THAW)
    names: set[str] = set()

    async def play(memory: Memory) -> None:
        assert memory.rules is not None
        before = {route.key.actor_id for route in work_out(memory.rules, catalog).values()}
        assert {memory.rules.units[actor].name for actor in before} == {"Ada's agent", "Agent 0", "Agent 1", "Agent 2"}
        writer.execute(statement, {"organization": organizations[0]})
        assert await memory.follow() is not None
        assert_alike(memory.rules, catalog)
        kept = kept_in(memory.rules, catalog)
        names.update(memory.rules.units[route.key.actor_id].name for route in kept.values())

    remembering(database.url, organizations[:1], play)
    return names


OF = "WHERE organization_id = %(organization)s"
AGENT = f"(SELECT id FROM orgs_unit {OF} AND name = 'Agent 1')"
EVERYBODY = {"Ada's agent", "Agent 0", "Agent 1", "Agent 2"}


@pytest.mark.parametrize(
    ("statement", "stay"),
    [
        (f"UPDATE keys_key SET revoked_at = now() WHERE actor_id = {AGENT}", EVERYBODY - {"Agent 1"}),
        (f"UPDATE orgs_unit SET name = 'Agent 1' WHERE id = {AGENT}", EVERYBODY),
        (f"UPDATE orgs_unit SET name = 'Agent X' WHERE id = {AGENT}", EVERYBODY - {"Agent 1"}),
        (f"UPDATE budgets_budget SET amount = amount + 1 {OF}", EVERYBODY),
        (f"UPDATE budgets_budget SET hardness = 'soft' WHERE unit_id = {AGENT}", EVERYBODY - {"Agent 1"}),
        (f"DELETE FROM orgs_unitedge WHERE child_id = {AGENT}", EVERYBODY - {"Agent 1"}),
        (f"UPDATE orgs_unit SET archived_at = now() {OF} AND name = 'Red'", {"Ada's agent"}),
        (f"UPDATE budgets_budget SET hardness = 'soft' {OF} AND unit_id IS NULL", set()),
        ("UPDATE orgs_organization SET requires_cap = true WHERE id = %(organization)s", set()),
        (f"UPDATE providers_provideraccount SET base_url = 'https://elsewhere.test' {OF}", set()),
        (f"UPDATE policies_policyversion SET state = 'retired' {OF} AND state = 'active'", {"Ada's agent"}),
    ],
)
def test_those_stay_that_rest_on_nothing_that_moved(
    database: Database, organizations: Sequence[UUID], statement: str, stay: set[str]
) -> None:
    assert kept_after(database, organizations, statement) == stay
