import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.orgs.models import Organization
from tests.budgets import money
from tests.databases import Database


def run(*arguments: str) -> Any:
    out = StringIO()
    call_command(*arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def told(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def spend(database: Database, acme: Organization, *costs: int) -> list[dict[str, Any]]:
    connection = database.connect()
    money.beat(connection)
    tokens = money.tokens_of(connection, acme)
    requests = [money.a_request(acme, tokens, []) for _ in costs]
    money.reserve(connection, *requests)
    for request, cost in zip(requests, costs, strict=True):
        money.end(connection, money.an_ending(request, cost=cost))
    return requests


def test_cap_set_tells_the_cap_and_what_its_period_has_seen(acme: Organization, database: Database) -> None:
    spend(database, acme, 60, 70)
    arguments = ("cap_set", "--organization", "acme", "--amount-usd", "1.50", "--period", "month")
    told_first = run(*arguments)
    assert (told_first["amount_nanos"], told_first["amount_usd"]) == ("1500000000", "1.50")
    assert told_first["current"]["settled_nanos"] == "130"
    assert run(*arguments)["budget_id"] == told_first["budget_id"]
    assert "1.50 USD" in told(*arguments)


def test_cap_set_for_each_unit_of_a_kind_below_a_unit(acme: Organization) -> None:
    money.make_unit(acme, "Research", "team")
    cap = run(
        "cap_set", "--organization", "acme", "--unit", "team:Research", "--each", "employee", "--soft",
        "--amount-usd", "2", "--period", "day",
    )  # fmt: skip
    assert (cap["unit"], cap["applies_to_each"], cap["hardness"]) == ("team:Research", "employee", "soft")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cap_set", "--organization", "none", "--amount-usd", "1", "--period", "day"), "no organization"),
        (("cap_set", "--organization", "acme", "--amount-usd", "-1", "--period", "day"), "A cap is"),
        (("cap_set", "--organization", "acme", "--amount-usd", "1.5e3", "--period", "day"), "not an amount"),
        (("cap_set", "--organization", "acme", "--unit", "x", "--amount-usd", "1", "--period", "day"), "no unit"),
        (("ledger_list", "--organization", "none"), "no organization"),
        (("reservation_list", "--organization", "none"), "no organization"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(
    acme: Organization, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        told(*arguments)


def test_ledger_list_tells_every_entry_oldest_first_beyond_a_page(
    acme: Organization, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.ledger.queries._PAGE", 2)
    requests = spend(database, acme, 1, 2, 3, 4, 5)
    spend(database, money.make_organization("other"), 9)
    entries = run("ledger_list", "--organization", "acme")
    assert [entry["amount_nanos"] for entry in entries] == ["1", "2", "3", "4", "5"]
    assert [entry["reservation_id"] for entry in entries] == [request["id"] for request in requests]
    assert set(entries[0]) == {
        "id", "occurred_at", "booked_at", "kind", "status", "amount_nanos", "reservation_id", "provider", "model",
        "key_id", "scopes",
    }  # fmt: skip
    assert told("ledger_list", "--organization", "acme").count("openai/gpt-test") == 5


def test_an_empty_ledger_is_an_empty_list(acme: Organization) -> None:
    assert run("ledger_list", "--organization", "acme") == []


def test_open_reservations_are_listed_and_ended_by_hand(acme: Organization, database: Database) -> None:
    connection = database.connect()
    money.beat(connection)
    request = money.a_request(acme, money.tokens_of(connection, acme), [])
    money.reserve(connection, request)
    [listed] = run("reservation_list", "--organization", "acme")
    assert (listed["id"], listed["state"], listed["amount_nanos"]) == (request["id"], "open", "100")
    assert request["id"] in told("reservation_list", "--organization", "acme")
    ended = run("reservation_end", request["id"], "--organization", "acme", "--reason", "stuck")
    assert ended == {"id": request["id"], "state": "expired", "booked_nanos": "100"}
    assert run("reservation_list", "--organization", "acme") == []
    with pytest.raises(CommandError, match="ended already"):
        told("reservation_end", request["id"], "--organization", "acme", "--reason", "stuck")
