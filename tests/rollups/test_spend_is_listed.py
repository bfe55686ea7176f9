"""What was spent, by whom and on what, as a script or a person asks for it."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from apps.ledger.models import LedgerEntry
from tests.budgets import money
from tests.commands.running import run, run_json
from tests.databases import Database
from tests.rollups.booking import Shop, deliver_all, open_shop


@pytest.fixture
def shop(database: Database) -> Shop:
    """Ada and Bob of the team spent on two models today, and Ada something long ago."""
    shop = open_shop(database)
    now = money.now_of(shop.connection)
    bob = money.identity(shop.organization, [money.make_unit(shop.organization, "Bob"), shop.team])
    shop.spend(60, now, model="gpt-a")
    shop.spend(30, now, model="gpt-b", status="estimated")
    shop.spend(100, now - timedelta(days=1), model="gpt-b", **bob)
    shop.spend(1, now - timedelta(days=9), model="gpt-a")
    deliver_all()
    return shop


def asked(shop: Shop, by: str, *options: str, days: int = 2) -> list[str]:
    today = money.now_of(shop.connection).date()
    return [
        "spend_list", "--organization", "acme", "--by", by, "--from", str(today - timedelta(days=days)), "--to",
        str(today), *options,
    ]  # fmt: skip


def rows(shop: Shop, by: str, *options: str) -> list[tuple[Any, ...]]:
    told = run_json(*asked(shop, by, *options))
    return [tuple(row.values()) for row in told["rows"]]


def test_by_model_as_scripts_read_it(shop: Shop) -> None:
    told = run_json(*asked(shop, "model"))
    today = money.now_of(shop.connection).date()
    assert told == {
        "organization": "acme",
        "unit": None,
        "by": "model",
        "from": str(today - timedelta(days=2)),
        "to": str(today),
        "total": {
            "amount_usd": "0.00000019", "amount_nanos": "190", "estimated_usd": "0.00000003", "estimated_nanos": "30",
            "tokens": 18, "requests": 3,
        },
        "rows": [
            {
                "provider": "openai", "model": "gpt-b", "amount_usd": "0.00000013", "amount_nanos": "130",
                "estimated_usd": "0.00000003", "estimated_nanos": "30", "tokens": 12, "requests": 2,
            },
            {
                "provider": "openai", "model": "gpt-a", "amount_usd": "0.00000006", "amount_nanos": "60",
                "estimated_usd": "0.00", "estimated_nanos": "0", "tokens": 6, "requests": 1,
            },
        ],
    }  # fmt: skip


def test_by_each_of_the_others(shop: Shop) -> None:
    ada = f"key-{shop.actor.id}"
    by_key = rows(shop, "key")
    assert [(row[0] == ada, row[2]) for row in by_key] == [(False, "100"), (True, "90")]
    assert [(row[0], row[2]) for row in rows(shop, "provider")] == [("openai", "190")]
    assert [(row[0], row[2]) for row in rows(shop, "status")] == [("final", "160"), ("estimated", "30")]
    by_unit = rows(shop, "unit")
    assert [(row[0], row[1], row[4]) for row in by_unit] == [
        ("team", "Team", "190"), ("employee", "Bob", "100"), ("employee", "Ada", "90"),
    ]  # fmt: skip


def test_of_one_unit(shop: Shop) -> None:
    assert [(row[1], row[3]) for row in rows(shop, "model", "--unit", "Bob")] == [("gpt-b", "100")]
    assert [row[2] for row in rows(shop, "key", "--unit", "team:Team")] == ["100", "90"]
    assert [row[2] for row in rows(shop, "status", "--unit", str(shop.actor.id))] == ["60", "30"]


def test_the_sums_are_those_of_the_ledger(shop: Shop) -> None:
    everything = run_json(*asked(shop, "model", days=30))
    booked = sum(entry.amount_nanos for entry in LedgerEntry.objects.filter(organization_id=shop.organization.id))
    assert int(everything["total"]["amount_nanos"]) == booked == 191
    assert sum(int(row["amount_nanos"]) for row in everything["rows"]) == booked


def test_a_person_reads_lines(shop: Shop) -> None:
    out = StringIO()
    call_command(*asked(shop, "unit"), stdout=out)
    lines = out.getvalue().splitlines()
    assert [line.split()[-1] for line in lines] == ["team/Team", "employee/Bob", "employee/Ada", "total"]
    assert lines[-1].split()[:2] == [["0.00000019"][0], "USD"]


def test_nothing_spent_is_no_rows_and_zero(database: Database) -> None:
    shop = open_shop(database)
    told = run_json(*asked(shop, "model"))
    assert (told["rows"], told["total"]["amount_usd"], told["total"]["requests"]) == ([], "0.00", 0)


def test_what_is_refused_and_what_is_no_question(database: Database, shop: Shop) -> None:
    other = open_shop(database, "other")
    for options in (("--unit", str(other.team.id)), ("--unit", "nobody")):
        told = run_json(*asked(shop, "model", *options), exit_code=1)
        assert told["error"]["code"] == "not_found"
    assert run_json(*asked(shop, "unit", "--unit", "Bob"), exit_code=1)["error"]["code"] == "invalid"
    assert run_json(*asked(shop, "model", days=-1), exit_code=1)["error"]["code"] == "invalid"
    assert run(*asked(shop, "weather"))[0] == 2
    assert run("spend_list", "--organization", "acme", "--by", "model", "--from", "yesterday", "--to", "today")[0] == 2
