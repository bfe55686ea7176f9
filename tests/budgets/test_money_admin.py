from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.test import Client

from apps.budgets.models import Budget, BudgetOverride, Period, Reservation, SettleQuarantine
from apps.identity.models import Person
from apps.ledger.models import LedgerEntry, SpendEvent
from apps.orgs.models import Organization
from tests.budgets import money

PAGES = [
    "budgets/budget", "budgets/budgetoverride", "budgets/period", "budgets/reservation", "budgets/settlequarantine",
    "budgets/gatewayprocess", "budgets/governanceversion", "ledger/ledgerentry", "ledger/spendevent",
]  # fmt: skip


@pytest.fixture
def acme(connection: psycopg.Connection[Any]) -> Organization:
    """Books with a row in each table: one reservation settled, one open."""
    acme = money.make_organization()
    budget = money.make_budget(acme, 10**9)
    today = money.now_of(connection)
    BudgetOverride.objects.create(
        budget=budget, organization=acme, amount=10**9, starts_at=today, ends_at=today + timedelta(days=1)
    )
    period = money.open_period(connection, budget)
    tokens = money.tokens_of(connection, acme)
    settled, running = (money.a_request(acme, tokens, [period]) for _ in range(2))
    money.reserve(connection, settled, running)
    money.end(connection, money.an_ending(settled))
    SettleQuarantine.objects.create(
        reservation_id=settled["id"], payload={}, error="22003", created_at=money.now_of(connection)
    )
    return acme


@pytest.fixture
def client(acme: Organization) -> Client:
    client = Client()
    client.force_login(Person.objects.create_superuser("ann@example.com", "a long enough password"))
    return client


@pytest.mark.parametrize("page", PAGES)
def test_lists_rows_and_searches_are_there_and_no_row_can_be_deleted(client: Client, page: str) -> None:
    listed = client.get(f"/admin/{page}/")
    assert listed.status_code == 200
    assert listed.context["cl"].result_count >= 1
    row = listed.context["cl"].result_list[0]
    assert client.get(f"/admin/{page}/{row.pk}/change/").status_code == 200
    assert client.get(f"/admin/{page}/?q={row.pk}").status_code == 200
    assert client.get(f"/admin/{page}/?q=nothing%00like+it").status_code in (200, 302)
    assert client.post(f"/admin/{page}/{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_search_for_a_whole_id_finds_the_entry(client: Client) -> None:
    entry = LedgerEntry.objects.get()
    found = client.get(f"/admin/ledger/ledgerentry/?q={entry.reservation_id}").context["cl"]
    assert [row.pk for row in found.result_list] == [entry.pk]
    assert found.result_list[0].organization_slug == "acme"
    other = client.get(f"/admin/ledger/ledgerentry/?q={money.NIL}").context["cl"]
    assert list(other.result_list) == []


def test_a_cap_is_set_changed_and_archived(client: Client, acme: Organization) -> None:
    asked = {
        "organization": str(acme.id), "amount": "1.50", "measure": "nanos", "period_kind": "day", "hardness": "hard",
        "reason": "pilot",
    }  # fmt: skip
    assert client.post("/admin/budgets/budget/add/", asked).status_code == 302
    budget = Budget.objects.get(period_kind="day")
    assert budget.amount == 1_500_000_000
    assert Period.objects.get(budget=budget).settled == 60
    url = f"/admin/budgets/budget/{budget.id}/act"
    assert b"1.50" in client.get(f"{url}/change/").content
    assert client.post(f"{url}/change/", {"amount": "2"}).status_code == 302
    assert client.post(f"{url}/change/", {"amount": "two"}).status_code == 200
    assert client.post(f"{url}/archive/", {"reason": "over"}).status_code == 302
    budget.refresh_from_db()
    assert (budget.amount, budget.archived_at is None) == (2_000_000_000, False)


def test_a_cap_of_requests_takes_a_whole_number(client: Client, acme: Organization) -> None:
    asked = {
        "organization": str(acme.id), "amount": "12.5", "measure": "requests", "period_kind": "day", "hardness": "hard",
    }  # fmt: skip
    assert b"whole number" in client.post("/admin/budgets/budget/add/", asked).content
    assert client.post("/admin/budgets/budget/add/", {**asked, "amount": "12"}).status_code == 302
    assert Budget.objects.get(measure="requests").amount == 12


def test_an_open_reservation_is_ended_with_a_reason(client: Client) -> None:
    running = Reservation.objects.get(state="open")
    url = f"/admin/budgets/reservation/{running.id}/act/end/"
    assert client.post(url, {"reason": ""}).status_code == 200
    assert client.post(url, {"reason": "stuck"}).status_code == 302
    running.refresh_from_db()
    assert (running.state, running.end_cause) == ("expired", "by_hand")
    assert b"ended already" in client.post(url, {"reason": "again"}).content


def test_a_quarantined_ending_is_tried_again_with_a_reason(client: Client) -> None:
    running = Reservation.objects.get(state="open")
    kept = SettleQuarantine.objects.create(
        reservation_id=running.id,
        payload={"id": str(running.id), "kind": "void"},
        error="",
        created_at=running.reserved_at,
    )
    url = f"/admin/budgets/settlequarantine/{kept.id}/act/retry/"
    assert client.post(url, {"reason": ""}).status_code == 200
    assert client.post(url, {"reason": "mended"}).status_code == 302
    running.refresh_from_db()
    assert running.state == "voided"
    assert b"resolved already" in client.post(url, {"reason": "again"}).content


def test_rows_of_the_ledger_cannot_be_added_or_changed(client: Client) -> None:
    for model, page in ((LedgerEntry, "ledgerentry"), (SpendEvent, "spendevent")):
        row = model.objects.get()
        assert client.get(f"/admin/ledger/{page}/add/").status_code == 403
        client.post(f"/admin/ledger/{page}/{row.pk}/change/", {"model": "other"})
        assert model.objects.get().model == "gpt-test"
