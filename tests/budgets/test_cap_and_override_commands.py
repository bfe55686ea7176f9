import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from apps.budgets.models import Budget
from apps.orgs.models import Organization
from tests.budgets import money
from tests.databases import Database

CAP = ("cap_set", "--organization", "acme", "--period", "month")
SOON = (datetime.now(UTC) + timedelta(hours=1)).isoformat()


def run(*arguments: str) -> Any:
    out = StringIO()
    call_command(*arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def told(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_cap_set_in_requests_for_certain_requests(acme: Organization) -> None:
    arguments = (
        "cap_set", "--organization", "acme", "--period", "minute", "--measure", "requests", "--amount", "60",
        "--model", "gpt-4.1", "--model", "anthropic/*", "--environment", "production", "--actor-kind", "agent",
    )  # fmt: skip
    cap = run(*arguments)
    assert (cap["measure"], cap["period"], cap["amount"], cap["amount_nanos"]) == ("requests", "minute", "60", None)
    assert cap["selector"] == {
        "models": ["anthropic/*", "openai/gpt-4.1"], "environments": ["production"], "actor_kinds": ["agent"],
    }  # fmt: skip
    assert cap["current"]["label"].startswith("I20")
    assert "60 requests" in told(*arguments)
    selector = '{"actor_kinds": ["agent"], "environments": ["production"]}'
    same = run(*arguments[:9], "--model", "anthropic/*", "--model", "openai/gpt-4.1", "--select", selector)
    assert same["budget_id"] == cap["budget_id"]


def test_cap_set_for_a_fixed_range(acme: Organization) -> None:
    cap = run(
        "cap_set", "--organization", "acme", "--period", "fixed", "--amount-usd", "5",
        "--starts", "2020-01-01T00:00Z", "--ends", "2099-01-01T00:00+01:00",
    )  # fmt: skip
    assert (cap["current"]["label"], cap["current"]["ends_at"]) == ("F", "2098-12-31T23:00:00+00:00")


def test_cap_set_says_where_more_is_spent_than_the_cap(acme: Organization, database: Database) -> None:
    connection = database.connect()
    money.beat(connection)
    request = money.a_request(acme, money.tokens_of(connection, acme), [], nanos=100)
    money.reserve(connection, request)
    money.end(connection, money.an_ending(request, cost=100))
    [warning] = run(*CAP, "--amount-usd", "0.00000004")["warnings"]
    assert "0.00000006 USD more than this cap" in warning
    assert warning in told(*CAP, "--amount-usd", "0.00000004")
    [above] = run("cap_list", "--organization", "acme", "--above")
    assert (above["above"], above["causes"]) == ("60", {"cap_lowered": "60"})
    assert "cap_lowered 0.00000006 USD" in told("cap_list", "--organization", "acme", "--above")


def test_cap_set_allocates_from_the_budget_of_a_scope_above(acme: Organization) -> None:
    money.make_unit(acme, "Research", "team")
    whole = run(*CAP, "--amount-usd", "10")["budget_id"]
    part = (*CAP, "--unit", "team:Research", "--allocated-from", whole)
    assert run(*part, "--amount-usd", "10")["allocated_from"] == whole
    with pytest.raises(CommandError, match="not allocated yet"):
        run(*part, "--amount-usd", "11")
    released = run("cap_release", run(*part, "--amount-usd", "9")["budget_id"], "--organization", "acme")
    assert released["allocated_from"] is None
    assert "stands for itself" in told("cap_release", released["budget_id"], "--organization", "acme")


def test_an_archived_cap_is_in_force_no_more(acme: Organization) -> None:
    budget = run(*CAP, "--amount-usd", "10")["budget_id"]
    assert run("cap_archive", budget, "--organization", "acme", "--reason", "gone")["archived_at"] is not None
    assert run("cap_list", "--organization", "acme") == []
    money.make_organization("other")
    with pytest.raises(CommandError, match="There is no budget"):
        run("cap_archive", budget, "--organization", "other")


def test_cap_list_tells_what_is_left_of_each_budget_in_force(acme: Organization) -> None:
    run(*CAP, "--amount-usd", "10")
    run("cap_set", "--organization", "acme", "--period", "day", "--measure", "tokens", "--amount", "9", "--soft")
    money.make_budget(money.make_organization("other"), 5)
    caps = {cap["period"]: cap for cap in run("cap_list", "--organization", "acme")}
    assert set(caps) == {"month", "day"}
    assert caps["month"]["current"][0]["remaining"] == "10000000000"
    assert "9 tokens left" in told("cap_list", "--organization", "acme")


def test_cap_list_names_the_units_of_an_each_budget(acme: Organization, database: Database) -> None:
    ada = money.make_unit(acme, "Ada")
    run(*CAP, "--each", "employee", "--amount-usd", "50")
    money.open_period(database.connect(), Budget.objects.get(), ada)
    [cap] = run("cap_list", "--organization", "acme")
    assert [(state["unit"], state["unit_id"]) for state in cap["current"]] == [("employee:Ada", str(ada.id))]
    assert "of employee:Ada: 50.00 USD left" in told("cap_list", "--organization", "acme")


def test_an_override_is_set_listed_and_ended(acme: Organization) -> None:
    budget = run(*CAP, "--amount-usd", "10")["budget_id"]
    given = run(
        "override_set", budget, "--organization", "acme", "--amount-usd", "20", "--ends", SOON, "--reason", "launch"
    )
    assert (given["amount"], given["base"], given["author"]) == ("20000000000", "10000000000", "command:override_set")
    assert run("override_list", "--organization", "acme") == [given]
    assert "20.00 USD instead of 10.00 USD" in told("override_list", "--organization", "acme")
    ended = run("override_end", given["id"], "--organization", "acme")
    assert ended["ended_at"] is not None
    assert "ended" in told("override_end", given["id"], "--organization", "acme")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*CAP, "--measure", "tokens", "--amount-usd", "1"), "takes --amount"),
        ((*CAP, "--amount", "1"), "takes --amount-usd"),
        ((*CAP, "--amount-usd", "1", "--select", "{"), "no JSON"),
        ((*CAP, "--amount-usd", "1", "--select", "[]"), "an object"),
        ((*CAP, "--amount-usd", "1", "--select", '{"models": ["a"]}', "--model", "b"), "say it once"),
        ((*CAP, "--amount-usd", "1", "--key", "gone"), "no key"),
        ((*CAP, "--amount-usd", "1", "--starts", "2020-01-01"), "needs a time zone"),
        ((*CAP, "--amount-usd", "1", "--allocated-from", str(uuid4())), "no budget"),
        (
            ("override_set", str(uuid4()), "--organization", "acme", "--amount", "1", "--ends", SOON, "--reason", "x"),
            "no budget",
        ),
        (("cap_release", str(uuid4()), "--organization", "acme"), "no budget"),
        (("override_end", str(uuid4()), "--organization", "acme"), "no override"),
        (("override_list", "--organization", "none"), "no organization"),
        (("cap_list", "--organization", "none"), "no organization"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(
    acme: Organization, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        told(*arguments)
    assert not Budget.objects.exists()
