"""What a gateway's snapshot load gets out of the tables."""

from datetime import UTC, datetime, timedelta

from apps.policies import contents, freezing, lifecycle, selectors, stored
from apps.policies.models import PolicyVersion
from apps.policies.types import FreezeRule, PolicyRule
from tests.databases import Database
from tests.orgs.building import ACTING, make_organization, make_unit
from tests.policies.building import activate, make_active, make_draft, seen

RULES = f"SELECT {stored.POLICY_ROW} FROM {stored.POLICY_ROWS} ORDER BY p.name, v.number"


def rules(database: Database) -> list[PolicyRule]:
    return [stored.policy_rule(row) for (row,) in database.connect().execute(RULES)]


def test_what_is_active_and_what_is_in_shadow_is_a_rule(database: Database) -> None:
    acme = make_organization()
    team = make_unit(acme, "Data", kind="team")
    until = datetime.now(UTC) + timedelta(days=1)
    said = {"kind": "review", "rule": {"above_usd": "2.00"}, "selector": {"models": ["openai/*"]}}
    version = make_draft(acme, "b", unit=team, **said)
    assert rules(database) == []
    lifecycle.to_shadow(version, **seen(version), effective_until=until)
    active = make_active(acme, "a")
    assert rules(database) == [
        PolicyRule(
            active.id, active.policy_id, "a", 1, "allowlist", None, selectors.EVERYTHING,
            contents.Allowlist(models=("openai/gpt-4.1-mini",)), False, None, None,
        ),
        PolicyRule(
            version.id, version.policy_id, "b", 1, "review", team.id, selectors.Selector(models=("openai/*",)),
            contents.ReviewAbove(2_000_000_000), True, None, until,
        ),
    ]  # fmt: skip
    activate(version)
    assert [(rule.name, rule.is_shadow, rule.effective_until) for rule in rules(database)] == [
        ("a", False, None), ("b", False, None),
    ]  # fmt: skip
    for of_policy in PolicyVersion.objects.filter(state="active"):
        lifecycle.retire(of_policy, **seen(of_policy))
    assert rules(database) == []


def test_what_this_release_cannot_read_is_a_rule_that_denies(database: Database) -> None:
    make_draft(make_organization())
    database.connect().execute(
        "UPDATE policies_policyversion SET state = 'active', selector = '{\"hats\": []}', rule = '[7]'"
    )
    (rule,) = rules(database)
    assert rule.selector is None
    assert rule.content == contents.Unreadable("A rule is an object of named members.")


def test_a_freeze_is_a_rule(database: Database) -> None:
    acme = make_organization()
    frozen = freezing.freeze(organization=acme, target=freezing.find_target(acme), reason="unpaid", acting=ACTING)
    (row,) = database.connect().execute(f"SELECT {stored.FREEZE_ROW} FROM policies_freeze").fetchone()
    assert stored.freeze_rule(row) == (frozen.id, FreezeRule("organization", str(acme.id), "unpaid"))
