"""The big company of the benchmarks is one that a gateway understands."""

import psycopg

from apps.gateway.rules_loading import RulesLoader
from apps.orgs.scopes import scope_set
from apps.policies.contents import Unreadable
from apps.policies.models import PolicyKind
from bench import many_rules
from tests.databases import Database
from tests.gateway.company import make_company


def test_a_tenth_of_it_can_be_loaded(database: Database) -> None:
    organization = make_company("").organization
    with psycopg.connect(database.url) as connection:
        many_rules.add(connection, organization.slug, share=0.1)
        many_rules.import_keys(connection, organization.slug, count=10, prefix="imported-")
    loader = RulesLoader(database.url)
    rules = loader.organization(organization.id)
    loader.close()
    assert rules is not None
    many = [key for key in rules.keys.values() if key.key_id.startswith("many-")]
    assert (len(many), len(rules.units), len(rules.budgets), len(rules.policies)) == (1000, 501, 500, 200)
    assert len(rules.keys) == 1000 + 10 + 1
    assert {key.grants for key in many} == {("anthropic/claude-*", "openai/*")}
    assert {len(scope_set(key.actor_id, None, rules.parents)) for key in many} == {3, 5}
    assert {policy.kind for policy in rules.policies.values()} == set(PolicyKind.values)
    assert any(policy.is_shadow for policy in rules.policies.values())
    assert not any(isinstance(policy.content, Unreadable) for policy in rules.policies.values())
    assert all(rule.selector is not None for rule in (*rules.policies.values(), *rules.budgets.values()))
