from typing import Any

import psycopg
import pytest
from django.test import Client

from apps.ledger.models import LedgerEntry, SpendEvent
from apps.orgs.models import Organization
from tests.budgets import money
from tests.databases import Database
from tests.identity.signing_in import signed_in

ENTRIES, EVENTS = "/admin/ledger/ledgerentry/", "/admin/ledger/spendevent/"


@pytest.fixture
def connection(database: Database) -> psycopg.Connection[Any]:
    connection = database.connect()
    money.beat(connection)
    return connection


def settle(connection: psycopg.Connection[Any], organization: Organization, cost: int, **fields: Any) -> dict[str, Any]:
    request = money.a_request(organization, money.tokens_of(connection, organization), [], nanos=10**9, **fields)
    money.reserve(connection, request)
    money.end(connection, money.an_ending(request, cost=cost))
    return request


def listed(browser: Client, url: str) -> list[Any]:
    return [row.pk for row in browser.get(url).context["cl"].result_list]


def test_amounts_are_exact_and_their_points_stand_below_each_other(connection: psycopg.Connection[Any]) -> None:
    acme = money.make_organization()
    for cost in (123, 1_500_000_000):
        settle(connection, acme, cost)
    page = signed_in().get(ENTRIES).content.decode()
    assert ">0.000000123</td>" in page
    assert ">1.50\u2007\u2007\u2007\u2007\u2007\u2007\u2007</td>" in page


def test_entries_are_found_by_their_whole_id_their_reservations_and_their_keys(
    connection: psycopg.Connection[Any],
) -> None:
    acme = money.make_organization()
    first, second = (settle(connection, acme, 60, key_id=key) for key in ("keyOne", "keyTwo"))
    entry = LedgerEntry.objects.get(reservation_id=first["id"])
    browser = signed_in()
    for sought in (entry.pk, first["id"], "keyOne", " keyOne "):
        assert listed(browser, f"{ENTRIES}?q={sought}") == [entry.pk], sought
    for sought in ("key", money.NIL, "\x00"):
        assert second["id"] not in browser.get(ENTRIES, {"q": sought}).content.decode(), sought


def test_an_event_is_found_by_its_reservation(connection: psycopg.Connection[Any]) -> None:
    acme = money.make_organization()
    wanted, _ = settle(connection, acme, 60), settle(connection, acme, 70)
    event = SpendEvent.objects.get(reservation_id=wanted["id"])
    browser = signed_in()
    assert listed(browser, f"{EVENTS}?q={wanted['id']}") == [event.pk]
    assert listed(browser, f"{EVENTS}?q={event.pk}") == [event.pk]
    assert listed(browser, f"{EVENTS}?q={money.NIL}") == []


def test_entries_are_narrowed_to_an_organization(connection: psycopg.Connection[Any]) -> None:
    acme, beta = money.make_organization(), money.make_organization("beta")
    settle(connection, acme, 60)
    other = settle(connection, beta, 70)
    [row] = signed_in().get(f"{ENTRIES}?organization={beta.id}").context["cl"].result_list
    assert (str(row.reservation_id), row.organization_slug) == (other["id"], "beta")


def test_an_entry_names_its_scopes_and_leads_to_what_it_came_from(connection: psycopg.Connection[Any]) -> None:
    acme = money.make_organization()
    ada = money.make_unit(acme)
    settle(connection, acme, 60, **money.make_key(acme, ada))
    entry, event = LedgerEntry.objects.get(), SpendEvent.objects.get()
    browser = signed_in()
    page = browser.get(f"{ENTRIES}{entry.pk}/change/").content.decode()
    assert "employee Ada, organization acme" in page
    assert "0.00000006 USD" in page
    assert f'href="{EVENTS}{event.pk}/change/"' in page
    assert (
        '<th scope="row">input</th><td class="number">1</td>'
        in browser.get(f"{EVENTS}{event.pk}/change/").content.decode()
    )


def test_no_click_sorts_or_counts_the_whole_ledger(connection: psycopg.Connection[Any]) -> None:
    settle(connection, money.make_organization(), 60)
    for url in (ENTRIES, EVENTS):
        page = signed_in(f"ada{len(url)}@example.com").get(url)
        assert "?o=" not in page.content.decode()
        assert "_facets" not in page.content.decode()
