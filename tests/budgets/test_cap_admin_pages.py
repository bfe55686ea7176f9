from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from apps.budgets.models import Budget, BudgetOverride
from apps.orgs.models import Organization
from tests.budgets import money
from tests.databases import Database
from tests.identity.signing_in import signed_in

BUDGETS, OVERRIDES = "/admin/budgets/budget/", "/admin/budgets/budgetoverride/"
DOLLAR = 10**9


@pytest.fixture
def browser(acme: Organization) -> Client:
    return signed_in()


def at(name: str, when: datetime) -> dict[str, str]:
    return {f"{name}_0": f"{when:%Y-%m-%d}", f"{name}_1": f"{when:%H:%M:%S}"}


def test_a_rate_for_certain_requests_is_set_and_shown(acme: Organization, browser: Client) -> None:
    fields = {
        "organization": acme.id, "measure": "requests", "amount": "60", "period_kind": "minute", "hardness": "hard",
        "selector": '{"models": ["openai/*"]}',
    }  # fmt: skip
    page = browser.post(f"{BUDGETS}add/", fields, follow=True).content.decode()
    assert "The cap is 60 requests." in page
    assert Budget.objects.get().selector == {"models": ["openai/*"]}
    assert "hard, minute, for openai/*" in browser.get(BUDGETS).content.decode()


def test_a_selector_that_is_none_is_said_at_the_form(acme: Organization, browser: Client) -> None:
    fields = {
        "organization": acme.id, "measure": "nanos", "amount": "60", "period_kind": "day", "hardness": "hard",
        "selector": '{"colour": ["red"]}',
    }  # fmt: skip
    assert "A selector has no" in browser.post(f"{BUDGETS}add/", fields).content.decode()
    assert not Budget.objects.exists()


def test_a_part_is_allocated_and_a_whole_is_not_exceeded(acme: Organization, browser: Client) -> None:
    whole = money.make_budget(acme, DOLLAR)
    money.make_unit(acme, "Research", "team")
    fields = {
        "organization": acme.id, "unit": "Research", "measure": "nanos", "amount": "2", "period_kind": "total",
        "hardness": "hard", "allocated_from": whole.id,
    }  # fmt: skip
    assert "are not allocated yet" in browser.post(f"{BUDGETS}add/", fields).content.decode()
    browser.post(f"{BUDGETS}add/", {**fields, "amount": "1"})
    part = Budget.objects.exclude(id=whole.id).get()
    assert part.allocated_from == whole
    assert "Release" not in browser.get(f"{BUDGETS}{whole.id}/change/").content.decode()
    browser.post(f"{BUDGETS}{part.id}/act/release/", {"reason": ""})
    part.refresh_from_db()
    assert part.allocated_from is None


def test_an_override_is_begun_shown_and_ended(acme: Organization, browser: Client) -> None:
    budget = money.make_budget(acme, DOLLAR)
    page = f"{BUDGETS}{budget.id}/"
    assert "Override cap" in browser.get(f"{page}change/").content.decode()
    until = at("ends_at", datetime.now(UTC) + timedelta(days=1))
    browser.post(f"{page}act/override/", {"amount": "5", "reason": "launch", **until})
    override = BudgetOverride.objects.get()
    assert (override.amount, override.reason) == (5 * DOLLAR, "launch")
    for url in (BUDGETS, f"{page}change/"):
        assert "5.00 USD instead of 1.00 USD" in browser.get(url).content.decode()
    assert "launch" in browser.get(f"{OVERRIDES}?q={budget.id}").content.decode()
    again = browser.post(f"{page}act/override/", {"amount": "6", "reason": "launch", **until})
    assert "another override" in again.content.decode()
    browser.post(f"{OVERRIDES}{override.id}/act/end/", {"reason": ""})
    override.refresh_from_db()
    assert override.ended_at is not None
    assert "instead of" not in browser.get(BUDGETS).content.decode()
    assert "End override" not in browser.get(f"{OVERRIDES}{override.id}/change/").content.decode()


def test_whoever_saw_another_amount_is_told_and_changes_nothing(acme: Organization, browser: Client) -> None:
    budget = money.make_budget(acme, DOLLAR)
    form = browser.get(f"{BUDGETS}{budget.id}/act/change/").content.decode()
    assert 'value="1000000000"' in form
    Budget.objects.update(amount=2 * DOLLAR)
    fields = {"amount": "3", "reason": "", "seen": "1000000000"}
    answer = browser.post(f"{BUDGETS}{budget.id}/act/change/", fields).content.decode()
    assert "Somebody has changed this cap to 2.00 USD in the meantime." in answer
    assert Budget.objects.get().amount == 2 * DOLLAR


def test_a_cap_below_what_is_spent_is_set_with_a_warning(
    acme: Organization, browser: Client, database: Database
) -> None:
    connection = database.connect()
    money.beat(connection)
    budget = money.make_budget(acme, DOLLAR)
    period = money.open_period(connection, budget)
    money.reserve(connection, money.a_request(acme, money.tokens_of(connection, acme), [period], nanos=DOLLAR // 2))
    fields = {"amount": "0.20", "reason": ""}
    page = browser.post(f"{BUDGETS}{budget.id}/act/change/", fields, follow=True).content.decode()
    assert "0.30 USD more than this cap are spent or reserved" in page
