"""Fills a migrated database with what the benchmarks spend against; prints the keys as one JSON object.

`python -m bench.populate` acts on DATABASE_URL. Every key spends under three hard caps: its actor's, its team's and the
organization's, but for those of `alone`: one cap each, nothing shared.
"""

import json
from collections.abc import Callable

import django

django.setup()

from apps.budgets.capping import set_cap  # noqa: E402
from apps.keys import issuing  # noqa: E402
from apps.orgs.models import Organization, Unit, UnitKind  # noqa: E402
from apps.orgs.organizations import create_organization  # noqa: E402
from apps.orgs.units import create_unit, find_or_create_actor  # noqa: E402
from apps.providers.accounts import create_default_accounts  # noqa: E402

ACTING = "bench"
CAP_NANOS = 10**15  # one million USD: never reached
SPREAD = 64


def make_organization(slug: str) -> Organization:
    organization = create_organization(slug=slug, name=slug, acting=ACTING)
    create_default_accounts(organization, acting=ACTING)
    return organization


def cap(organization: Organization, unit: Unit | None) -> None:
    set_cap(
        organization=organization,
        unit=unit,
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


def make_teamed_key(organization: Organization, number: int) -> str:
    team = create_unit(organization=organization, kind=UnitKind.TEAM, name=f"team {number}", acting=ACTING)
    cap(organization, team)
    return make_key(organization, f"agent {number}", team=team)


def many(make: Callable[[int], str]) -> list[str]:
    return [make(number) for number in range(SPREAD)]


def main() -> None:
    shared, alone = make_organization("bench"), make_organization("bench-alone")
    cap(shared, None)
    keys = {
        "contended": [make_teamed_key(shared, SPREAD)],
        "spread": many(lambda number: make_teamed_key(shared, number)),
        "one_budget": [make_key(alone, "hot", team=None)],
        "many_budgets": many(lambda number: make_key(alone, f"agent {number}", team=None)),
    }
    print(json.dumps(keys))


if __name__ == "__main__":
    main()
