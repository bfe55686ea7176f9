import re
from datetime import UTC, datetime
from typing import Any

import psycopg
from django.test import Client

from apps.budgets.capping import set_cap
from apps.budgets.models import Period, Reservation
from tests.budgets import money
from tests.identity.signing_in import signed_in


def cells(browser: Client, url: str) -> dict[str, str]:
    """The texts of the one row of a list, by column."""
    page = browser.get(url)
    assert len(page.context["cl"].result_list) == 1
    found = re.findall(r'<t[dh][^>]* class="field-(\w+)[^"]*"[^>]*>(.*?)</t[dh]>', page.content.decode())
    return {name: re.sub("<[^>]+>", "", text) for name, text in found}


def test_a_period_shows_cap_settled_reserved_and_what_remains(connection: psycopg.Connection[Any]) -> None:
    acme = money.make_organization()
    period = money.open_period(connection, money.make_budget(acme, 10**9))
    tokens = money.tokens_of(connection, acme)
    settled, running = (money.a_request(acme, tokens, [period]) for _ in range(2))
    money.reserve(connection, settled, running)
    money.end(connection, money.an_ending(settled))
    browser = signed_in()
    row = cells(browser, "/admin/budgets/period/")
    assert (row["cap"], row["spent"], row["held"], row["left"]) == (
        "1.00 USD", "0.00000006 USD", "0.0000001 USD", "0.99999984 USD",
    )  # fmt: skip
    assert (row["scope"], row["rule"], row["organization"]) == ("the whole organization", "hard, total", "acme")
    budget = cells(browser, "/admin/budgets/budget/")
    assert (budget["cap"], budget["left"]) == ("1.00 USD", "0.99999984 USD")


def test_what_remains_below_a_lowered_cap_is_negative(connection: psycopg.Connection[Any]) -> None:
    acme = money.make_organization()
    budget = money.make_budget(acme, 1000)
    period = money.open_period(connection, budget)
    request = money.a_request(acme, money.tokens_of(connection, acme), [period], nanos=900)
    money.reserve(connection, request)
    budget.amount = 400
    budget.save()
    assert cells(signed_in(), "/admin/budgets/period/")["left"] == "-0.0000005 USD"


def test_caps_of_requests_are_no_money(connection: psycopg.Connection[Any]) -> None:
    acme = money.make_organization()
    money.open_period(connection, money.make_budget(acme, 25, measure="requests"))
    assert cells(signed_in(), "/admin/budgets/period/")["left"] == "25 requests"


def test_periods_are_found_by_their_id_and_their_budgets_and_narrowed_to_the_current(
    connection: psycopg.Connection[Any],
) -> None:
    acme = money.make_organization()
    budget = money.make_budget(acme, 1000)
    current = money.open_period(connection, budget)
    past = Period.objects.create(
        id=current + 1, budget=budget, organization_id=acme.id, label="D2001-01-01",
        starts_at=datetime(2001, 1, 1, tzinfo=UTC), ends_at=datetime(2001, 1, 2, tzinfo=UTC), lock_rank=1,
    )  # fmt: skip
    browser = signed_in()
    for query, found in (
        (f"q={current}", [current]), (f"q={budget.id}", [past.id, current]), ("window=current", [current]),
        ("q=99999999999999999999", []),
    ):  # fmt: skip
        rows = browser.get(f"/admin/budgets/period/?{query}").context["cl"].result_list
        assert [row.id for row in rows] == found, query


def test_the_page_of_an_each_budget_shows_whom_it_holds(connection: psycopg.Connection[Any]) -> None:
    acme = money.make_organization()
    ada = money.make_unit(acme)
    budget = set_cap(
        organization=acme, applies_to_each="employee", period_kind="day", amount=10**9, acting="command:test"
    )
    browser = signed_in()
    url = f"/admin/budgets/budget/{budget.id}/change/"
    assert "one is opened by the first request" in browser.get(url).content.decode()
    money.open_period(connection, budget, ada)
    page = browser.get(url).content.decode()
    assert "each employee of the whole organization" in page
    assert "<td>employee Ada</td>" in page


def test_open_reservations_are_one_click_away_and_an_ended_one_cannot_be_ended(
    connection: psycopg.Connection[Any],
) -> None:
    acme = money.make_organization()
    tokens = money.tokens_of(connection, acme)
    ended, running = (money.a_request(acme, tokens, []) for _ in range(2))
    money.reserve(connection, ended, running)
    money.end(connection, money.an_ending(ended))
    browser = signed_in()
    rows = browser.get("/admin/budgets/reservation/?state=open").context["cl"].result_list
    assert [str(row.id) for row in rows] == [running["id"]]
    assert "End reservation" in browser.get(f"/admin/budgets/reservation/{running['id']}/change/").content.decode()
    page = browser.get(f"/admin/budgets/reservation/{ended['id']}/change/").content.decode()
    assert "End reservation" not in page
    assert f'href="/admin/ledger/ledgerentry/?q={ended["id"]}"' in page
    assert Reservation.objects.get(id=running["id"]).state == "open"
