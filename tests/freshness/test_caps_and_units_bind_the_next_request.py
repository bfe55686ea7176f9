"""Caps, the graph of units, organizations, accounts and prices: each change a hundred times in a row."""

from collections.abc import Iterator

import httpx
import pytest

from apps.budgets.capping import archive_cap, change_amount
from apps.catalog.setting_prices import set_price
from apps.orgs.organizations import resume_organization, suspend_organization
from apps.orgs.units import create_unit, move
from apps.providers.accounts import change_account
from apps.providers.models import ProviderAccount
from spendra.development.sandbox_provider.serving import sandbox_process
from spendra.kernel.money import format_usd
from tests.freshness.doors import Doors
from tests.gateway.company import Company

PLENTY = 10**15


def test_a_cap_lowered_below_what_is_spent_refuses_and_a_cap_raised_allows(
    company: Company, doors: Doors, rounds: int
) -> None:
    budget = company.cap(PLENTY)
    doors.expect(200, company.key)
    for _ in range(rounds):
        change_amount(budget, amount=1, acting="test")
        doors.expect(402, company.key)
        change_amount(budget, amount=PLENTY, acting="test")
        doors.expect(200, company.key)
    doors.check(asked=2 * rounds)


def test_a_new_cap_refuses_and_an_archived_one_does_no_more(company: Company, doors: Doors, rounds: int) -> None:
    for _ in range(rounds):
        budget = company.cap(1, period_kind="day")
        doors.expect(402, company.key)
        archive_cap(budget.id, organization=company.organization, acting="test")
        doors.expect(200, company.key)
    doors.check(asked=2 * rounds)


def test_a_unit_moved_below_a_spent_cap_is_refused_and_moved_away_it_spends(
    company: Company, doors: Doors, rounds: int
) -> None:
    spent, free = (
        create_unit(organization=company.organization, kind="team", name=name, acting="test")
        for name in ("Spent", "Free")
    )
    company.cap(0, unit=spent)
    for _ in range(rounds):
        move(company.actor, organization=company.organization, parents=[free, spent], acting="test")
        doors.expect(402, company.key)
        move(company.actor, organization=company.organization, parents=[free], acting="test")
        doors.expect(200, company.key)
    doors.check(asked=2 * rounds)


def test_a_team_moved_below_a_spent_branch_takes_its_agents_along(company: Company, doors: Doors, rounds: int) -> None:
    branch, team = (
        create_unit(organization=company.organization, kind=kind, name=f"The {kind}", acting="test")
        for kind in ("branch", "team")
    )
    move(company.actor, organization=company.organization, parents=[team], acting="test")
    company.cap(0, unit=branch)
    for _ in range(rounds):
        move(team, organization=company.organization, parents=[branch], acting="test")
        doors.expect(402, company.key)
        move(team, organization=company.organization, parents=[], acting="test")
        doors.expect(200, company.key)
    doors.check(asked=2 * rounds)


def test_a_suspended_organization_is_refused_until_it_is_resumed(company: Company, doors: Doors, rounds: int) -> None:
    for _ in range(rounds):
        suspend_organization(company.organization, acting="test")
        doors.expect(403, company.key)
        resume_organization(company.organization, acting="test")
        doors.expect(200, company.key)
    doors.check(asked=2 * rounds)


@pytest.fixture
def another_provider() -> Iterator[str]:
    with sandbox_process() as url:
        yield url


def test_the_next_request_goes_where_the_account_points(
    company: Company, doors: Doors, another_provider: str, rounds: int
) -> None:
    account = ProviderAccount.objects.get(organization=company.organization, provider="openai")
    answered_there = []
    for _ in range(rounds):
        point(account, f"{another_provider}/v1")
        answered_there += doors.expect(200, company.key)
        point(account, "")
        doors.expect(200, company.key)
    doors.check(asked=2 * rounds)
    charges = httpx.get(f"{another_provider}/charges").json()["by_request"].values()
    assert {one["completion_id"] for one in charges} == {answer.json()["id"] for answer in answered_there}


def test_the_next_request_is_booked_at_the_price_that_is_new(company: Company, doors: Doors, rounds: int) -> None:
    for number in range(1, rounds + 1):
        price = {"input": 0, "output": 0, "request": (1_000_000 + number) * 10**6}
        set_price(organization=company.organization, model="gpt-4.1-mini", nanos_per_million=price, acting="test")
        for answer in doors.expect(200, company.key):
            if answer.headers["x-spendra-cost-usd"] != format_usd(1_000_000 + number):
                doors.stale.append(f"{answer.headers['x-spendra-cost-usd']} with price {number}")
    doors.check(asked=rounds)


def point(account: ProviderAccount, base_url: str) -> None:
    change_account(
        account.id,
        organization=account.organization,
        base_url=base_url,
        credential_reference=account.credential_reference,
        acting="test",
    )
