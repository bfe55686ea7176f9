"""Policies, freezes, approvals, overrides and selectors: each change a hundred times in a row, on two gateways."""

import pytest

from apps.budgets.models import Budget, BudgetOverride
from apps.orgs.units import archive, restore
from spendra.kernel.clock import database_now
from tests.freshness.doors import Doors
from tests.gateway.company import Company
from tests.gateway.governing import activate, approve, draft, freeze, in_force, retire, thaw

PLENTY = 10**15


def test_a_policy_put_in_force_refuses_and_a_retired_one_does_no_more(
    company: Company, doors: Doors, rounds: int
) -> None:
    for _ in range(rounds):
        version = in_force(company, "allowlist", {"models": ["openai/gpt-4o"]})
        doors.expect(403, company.key)
        retire(company, version)
        doors.expect(200, company.key)
    doors.check(asked=2 * rounds)


@pytest.mark.parametrize("what", ["organization", "actor", "account", "key"])
def test_what_is_frozen_is_refused_and_what_is_thawed_is_not(
    company: Company, doors: Doors, rounds: int, what: str
) -> None:
    target = {
        "organization": {},
        "actor": {"unit": company.actor},
        "account": {"provider": "openai"},
        "key": {"key_id": company.issued.record.key_id},
    }[what]
    for _ in range(rounds):
        freeze(company, **target)
        doors.expect(403, company.key)
        thaw(company, **target)
        doors.expect(200, company.key)
    doors.check(asked=2 * rounds)


def test_an_approval_lets_the_next_request_pass(company: Company, doors: Doors, rounds: int) -> None:
    in_force(company, "review", {})
    for number in range(rounds):
        (refused, _) = doors.expect(403, company.key)
        approve(company, refused.json()["error"]["spendra"]["review"])
        answers = doors.ask(company.key)
        if sorted(answer.status for answer in answers) != [200, 403]:
            doors.stale.append(f"{[answer.status for answer in answers]} in round {number}")
    doors.check(asked=2 * rounds)


def test_a_budgets_selector_is_followed(company: Company, doors: Doors, rounds: int) -> None:
    budget = Budget.objects.create(
        organization=company.organization, period_kind="total", amount=0, counts_from_now=True,
        selector={"models": ["openai/gpt-4o"]},
    )  # fmt: skip
    for number in range(rounds):
        doors.expect(200, company.key)
        Budget.objects.filter(id=budget.id).update(selector={"models": [f"openai/gpt-4.1-m{'*' * (number % 2)}ini"]})
        doors.expect(402, company.key)
        Budget.objects.filter(id=budget.id).update(selector={"models": ["openai/gpt-4o"]})
    doors.check(asked=2 * rounds)


def test_an_override_begins_and_is_ended(company: Company, doors: Doors, rounds: int) -> None:
    budget = company.cap(PLENTY)
    for _ in range(rounds):
        now = database_now()
        override = BudgetOverride.objects.create(
            budget=budget, organization=company.organization, amount=1, starts_at=now,
            ends_at=now.replace(year=now.year + 1), author="test", reason="test",
        )  # fmt: skip
        doors.expect(402, company.key)
        BudgetOverride.objects.filter(id=override.id).update(ended_at=database_now())
        doors.expect(200, company.key)
    doors.check(asked=2 * rounds)


def test_an_archived_actor_spends_no_more_until_it_is_restored(company: Company, doors: Doors, rounds: int) -> None:
    for _ in range(rounds):
        archive(company.actor, organization=company.organization, acting="test")
        doors.expect(401, company.key)
        restore(company.actor, organization=company.organization, acting="test")
        doors.expect(200, company.key)
    doors.check(asked=2 * rounds)


def test_a_version_in_the_place_of_another_is_the_one_that_decides(company: Company, doors: Doors, rounds: int) -> None:
    for number in range(rounds):
        version = draft(company, "allowlist", {"models": ["openai/gpt-4o" if number % 2 else "openai/*"]})
        activate(company, version)
        doors.expect(403 if number % 2 else 200, company.key)
        retire(company, version)
    doors.check(asked=rounds)
