"""Changes rules as administrators do, by use cases and with audit: a process of its own beside the load.

`python -m bench.changing --organization SLUG` acts on DATABASE_URL. Says `ready`; then each line of its input, such as
{"changes": 1000, "seconds": 60}, is answered by how many it made in that time. Every kind takes its turn. Ends with a
traceback where a change fails. In SQL is only what no use case does: an import of keys in one transaction, since a
thousand calls would be a thousand changes; and the asking for a review, which a gateway does.
"""

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import django
import psycopg

django.setup()

from django.db import connection  # noqa: E402

from apps.budgets import capping, overriding  # noqa: E402
from apps.budgets.models import Budget, PeriodKind  # noqa: E402
from apps.keys import granting, issuing, revoking  # noqa: E402
from apps.keys.models import Key  # noqa: E402
from apps.ledger.models import LedgerEntry  # noqa: E402
from apps.orgs import units  # noqa: E402
from apps.orgs.models import Organization, Unit  # noqa: E402
from apps.policies import drafting, freezing, lifecycle, reviewing  # noqa: E402
from apps.policies.models import Policy, PolicyVersion, Review  # noqa: E402
from bench import many_rules  # noqa: E402
from spendra.kernel.clock import database_now  # noqa: E402
from spendra.kernel.ids import uuid7  # noqa: E402

ACTING = "bench"
LATE_SECONDS = 1.0  # a change that comes later than that after the end was not made in time
_PUT_REVIEW = "SELECT policies_put_review_v1(%s::jsonb)"


class Company:
    """What changes. Caps, overrides, policies, names and edges are those of everybody, also of who spends meanwhile;
    keys and units that end or are frozen are idle ones: whoever is refused would take load away."""

    def __init__(self, slug: str) -> None:
        self.organization = Organization.objects.get(slug=slug)
        many = Unit.objects.filter(organization=self.organization, name__startswith="many ").order_by("id")
        agents = many.filter(kind="agent")
        spending = Key.objects.filter(organization=self.organization).exclude(key_id__startswith="many-")
        self.units = list(many)
        self.teams, self.agents = list(many.filter(kind="team")), list(agents)
        self.idle_agents = list(agents.exclude(id__in=spending.values("actor_id")))
        # Not those that `caps` makes and archives, also in an earlier process.
        self.budgets = list(Budget.objects.filter(unit__in=many).exclude(period_kind=CAPS_ARE_A).order_by("id"))
        self.policies = list(Policy.objects.filter(organization=self.organization).order_by("id"))
        idle = Key.objects.filter(organization=self.organization, key_id__startswith="many-", revoked_at=None)
        self.idle_keys = list(idle.order_by("id"))


CAPS_ARE_A = PeriodKind.YEAR  # the many are of days and months
Changes = Iterator[object]  # each step of it is one change, committed


def revoked_keys(company: Company) -> Changes:
    for key in company.idle_keys[0::4]:
        yield revoking.revoke(key.key_id, organization=company.organization, acting=ACTING)


def issued_keys(company: Company) -> Changes:
    for agent in itertools.cycle(company.idle_agents[-2::-2]):
        yield issuing.issue(organization=company.organization, actor=agent, grants=["openai/*"], acting=ACTING)


def grants(company: Company) -> Changes:
    whose: dict[str, Any] = {"organization": company.organization, "acting": ACTING, "patterns": ["gemini/*"]}
    for key in itertools.cycle(company.idle_keys[1::4]):
        yield granting.grant(key.key_id, **whose)
        yield granting.withdraw(key.key_id, **whose)


def amounts(company: Company) -> Changes:
    for more, budget in zip(itertools.count(1), itertools.cycle(company.budgets), strict=False):
        yield capping.change_amount(budget, amount=budget.amount + more, acting=ACTING)


def caps(company: Company) -> Changes:
    """That count from now on. To count a history is work of its own, which grows with it: `count_history`."""
    whose: dict[str, Any] = {"organization": company.organization, "acting": ACTING}
    for unit in itertools.cycle(company.units):
        budget = capping.set_cap(unit=unit, period_kind=CAPS_ARE_A, amount=10**15, counts_from_now=True, **whose)
        yield budget
        yield capping.archive_cap(budget.id, **whose)


def overrides(company: Company) -> Changes:
    whose: dict[str, Any] = {"organization": company.organization, "acting": ACTING, "reason": "bench"}
    for budget in itertools.cycle(company.budgets):
        ends_at = database_now() + timedelta(hours=1)
        override = overriding.override_cap(budget.id, amount=2 * 10**15, ends_at=ends_at, **whose)
        yield override
        yield overriding.end_override(override.id, **whose)


def names(company: Company) -> Changes:
    for unit in itertools.cycle(company.units):
        for name in (f"{unit.name}.", unit.name):
            yield units.rename(unit, organization=company.organization, name=name, acting=ACTING)


def edges(company: Company) -> Changes:
    whose: dict[str, Any] = {"organization": company.organization, "acting": ACTING}
    for place, agent in enumerate(itertools.cycle(company.agents)):
        team = company.teams[(place + 7) % len(company.teams)]  # `many_rules` lets none belong to that one
        yield units.add_parent(agent, parent=team, **whose)
        yield units.remove_parent(agent, parent=team, **whose)


def archived_units(company: Company) -> Changes:
    """From the other end than where caps and edges are added, and not those of policies: an archived unit can't have
    any, and a policy whose unit is archived can't be put in force."""
    whose: dict[str, Any] = {"organization": company.organization, "acting": ACTING}
    of_policies = {policy.unit_id for policy in company.policies}
    for agent in itertools.cycle([agent for agent in company.idle_agents[::-2] if agent.id not in of_policies]):
        yield units.archive(agent, **whose)
        yield units.restore(agent, **whose)


def versions(company: Company) -> Changes:
    """A draft, then in shadow, then in force in place of what was."""
    for policy in itertools.cycle(company.policies):
        newest = PolicyVersion.objects.filter(policy=policy).order_by("-number")[0]
        whose: dict[str, Any] = {"organization": company.organization, "acting": ACTING}
        revision = Policy.objects.get(id=policy.id).revision
        draft = drafting.draft_version(
            policy, revision=revision, rule=newest.rule, selector=newest.selector, **whose
        ).version
        yield draft
        yield lifecycle.to_shadow(draft, revision=revision + 1, **whose)
        yield lifecycle.activate(draft, revision=revision + 2, **whose)


def freezes(company: Company) -> Changes:
    whose: dict[str, Any] = {"organization": company.organization, "acting": ACTING, "reason": "bench"}
    for key in itertools.cycle(company.idle_keys[2::4]):
        target = freezing.find_target(company.organization, key_id=key.key_id)
        yield freezing.freeze(target=target, **whose)
        yield freezing.thaw(target=target, **whose)


def approvals(company: Company) -> Changes:
    version = PolicyVersion.objects.filter(policy=company.policies[0])[0]
    for key in itertools.cycle(company.idle_keys[3::4]):
        review = Review.objects.get(id=ask_for_review(key, version))
        valid_until = database_now() + timedelta(hours=1)
        yield reviewing.approve(
            review, organization=company.organization, max_nanos=10**9, valid_until=valid_until, acting=ACTING
        )


def ask_for_review(key: Key, version: PolicyVersion) -> Any:
    asked = {
        "id": str(uuid7()),
        "organization_id": str(key.organization_id),
        "key_id": key.key_id,
        "actor_id": str(key.actor_id),
        "policy_version_id": str(version.id),
        "provider": "openai",
        "model": "gpt-4.1-mini",
        "asked_nanos": 10**9,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PUT_REVIEW, [json.dumps(asked)])
        return cursor.fetchone()[0]


KINDS: tuple[Callable[[Company], Changes], ...] = (
    revoked_keys, amounts, versions, issued_keys, names, freezes, grants, overrides, edges, approvals, caps,
    archived_units,
)  # fmt: skip


def make(turns: Iterator[Changes], *, changes: int, seconds: float) -> dict[str, Any]:
    """So many, each at its time, whatever the others took; those that would come too late are left out."""
    began_at, cpu_began = time.perf_counter(), time.process_time()
    made = 0
    for number in range(changes):
        time.sleep(max(0, began_at + number * seconds / changes - time.perf_counter()))
        if time.perf_counter() > began_at + seconds + LATE_SECONDS:
            break
        next(next(turns))
        made += 1
    return {"made": made, "cpu_seconds": time.process_time() - cpu_began, "seconds": time.perf_counter() - began_at}


def import_keys(slug: str, *, count: int, after: float) -> dict[str, Any]:
    time.sleep(after)
    began_at, cpu_began = time.perf_counter(), time.process_time()
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as plain:
        many_rules.import_keys(plain, slug, count=count, prefix=f"imported-{uuid7().hex[:12]}-")
    return {"made": 1, "cpu_seconds": time.process_time() - cpu_began, "seconds": time.perf_counter() - began_at}


def count_history(company: Company) -> dict[str, Any]:
    """How long a cap of one unit takes that counts what was spent before it, and of how many entries."""
    began_at = time.perf_counter()
    capping.set_cap(
        organization=company.organization, unit=company.agents[0], period_kind=CAPS_ARE_A, amount=10**15, acting=ACTING
    )
    seconds = time.perf_counter() - began_at
    return {"seconds": seconds, "entries": LedgerEntry.objects.filter(organization_id=company.organization.id).count()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--organization", required=True)
    slug = parser.parse_args().organization
    company = Company(slug)
    turns = itertools.cycle([kind(company) for kind in KINDS])
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "import" in asked:
            told = import_keys(slug, **asked["import"])
        elif "count_history" in asked:
            told = count_history(company)
        else:
            told = make(turns, **asked)
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
