"""Fills a migrated database with what the benchmarks spend against; prints the keys as one JSON object.

`python -m bench.populate` acts on DATABASE_URL. Every key spends under three hard caps: its actor's, its team's and the
organization's, but for those of `alone`: one cap each, nothing shared. With `--rules` the organization of the others
has policies of every kind, its teams' caps select the requests that they count, and it has caps for other requests.
"""

import argparse
import json
from collections.abc import Callable

import django

django.setup()

from apps.budgets.capping import set_cap  # noqa: E402
from apps.keys import issuing  # noqa: E402
from apps.orgs.models import Organization, Unit, UnitKind  # noqa: E402
from apps.orgs.organizations import create_organization  # noqa: E402
from apps.orgs.units import create_unit, find_or_create_actor  # noqa: E402
from apps.policies import drafting, lifecycle  # noqa: E402
from apps.policies.models import PolicyVersion  # noqa: E402
from apps.providers.accounts import create_default_accounts  # noqa: E402

ACTING = "bench"
CAP_NANOS = 10**15  # one million USD: never reached
SPREAD = 64
Selector = dict[str, list[str]]

OF_TEAMS: Selector = {"models": ["openai/*"], "actor_kinds": ["agent"]}  # every measured request is one of these
OF_OTHERS: tuple[Selector, ...] = ({"environments": ["staging"]}, {"tools": ["*"]})
# Name, kind, rule, selector. Measured requests pass all of them.
POLICIES: tuple[tuple[str, str, dict[str, object], Selector], ...] = (
    ("models and tools", "allowlist", {"models": ["openai/*", "anthropic/claude-*"], "tools": ["web_search"]}, {}),
    ("dear requests", "per_request_limit", {"max_usd": "2.00", "max_output_tokens": 16_000}, OF_TEAMS),
    ("very dear ones", "review", {"above_usd": "1.00"}, {"actor_kinds": ["agent"]}),
    ("how far", "alert", {"thresholds": [50, 80, 100]}, {}),
    ("staging", "allowlist", {"models": ["openai/gpt-4.1-nano"]}, {"environments": ["staging"]}),
)
# They ask for a hundred tokens. What a rule in shadow would refuse is cleared beforehand for nobody: every one of them
# is evaluated by all the rules, and counted.
IN_SHADOW = ("short answers", "per_request_limit", {"max_output_tokens": 50}, OF_TEAMS)


def make_organization(slug: str) -> Organization:
    organization = create_organization(slug=slug, name=slug, acting=ACTING)
    create_default_accounts(organization, acting=ACTING)
    return organization


def cap(organization: Organization, unit: Unit | None, *, selector: Selector | None = None) -> None:
    set_cap(
        organization=organization,
        unit=unit,
        selector=selector,
        period_kind="total",
        amount=CAP_NANOS,
        counts_from_now=True,
        acting=ACTING,
    )


def make_key(organization: Organization, name: str, *, team: Unit | None) -> str:
    parents = [team] if team else []
    actor = find_or_create_actor(organization=organization, name=name, kind="agent", parents=parents, acting=ACTING)
    cap(organization, actor)
    grants = ["openai/gpt-4.1-mini"]
    return issuing.issue(organization=organization, actor=actor, grants=grants, acting=ACTING).key


def make_teamed_key(organization: Organization, number: int, *, selector: Selector | None) -> str:
    team = create_unit(organization=organization, kind=UnitKind.TEAM, name=f"team {number}", acting=ACTING)
    cap(organization, team, selector=selector)
    return make_key(organization, f"agent {number}", team=team)


def many(make: Callable[[int], str]) -> list[str]:
    return [make(number) for number in range(SPREAD)]


def add_rules(organization: Organization) -> None:
    for selector in OF_OTHERS:
        cap(organization, None, selector=selector)
    for name, kind, rule, selector in POLICIES:
        version = draft(organization, name, kind, rule, selector)
        lifecycle.activate(version, organization=organization, revision=version.policy.revision, acting=ACTING)
    watching = draft(organization, *IN_SHADOW)
    lifecycle.to_shadow(watching, organization=organization, revision=watching.policy.revision, acting=ACTING)


def draft(
    organization: Organization, name: str, kind: str, rule: dict[str, object], selector: Selector
) -> PolicyVersion:
    made = drafting.create_policy(
        organization=organization, name=name, kind=kind, rule=rule, selector=selector, acting=ACTING
    )
    return made.version


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", action="store_true")
    with_rules: bool = parser.parse_args().rules
    shared, alone = make_organization("bench"), make_organization("bench-alone")
    cap(shared, None)
    if with_rules:
        add_rules(shared)
    of_teams = OF_TEAMS if with_rules else None
    keys = {
        "contended": [make_teamed_key(shared, SPREAD, selector=of_teams)],
        "spread": many(lambda number: make_teamed_key(shared, number, selector=of_teams)),
        "one_budget": [make_key(alone, "hot", team=None)],
        "many_budgets": many(lambda number: make_key(alone, f"agent {number}", team=None)),
    }
    print(json.dumps(keys))


if __name__ == "__main__":
    main()
