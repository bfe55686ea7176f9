"""A budget in requests or tokens of a minute, an hour or a day is a rate: what is full is free when its window ends."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.budgets import forgetting, seeding
from apps.budgets.models import Budget, Period
from apps.budgets.verifying import verify
from apps.orgs.models import Organization
from tests.budgets import money
from tests.concurrency.callers import Connection
from tests.databases import Database

NOON = datetime(2031, 5, 14, 12, 0, 20, tzinfo=UTC)
SHORT = 2**62


@pytest.fixture
def session(database: Database) -> Connection:
    session = database.connect()
    money.set_clock(session, NOON)
    money.beat(session)
    session.execute("SELECT budgets_ensure_partitions_v1(), ledger_ensure_partitions_v1()")
    return session


@pytest.fixture
def acme(session: Connection) -> Organization:
    return money.make_organization()


def rate(acme: Organization, amount: int, kind: str = "minute", measure: str = "requests", **fields: Any) -> Budget:
    return money.make_budget(acme, amount, period_kind=kind, measure=measure, **fields)


def ask(session: Connection, acme: Organization, *periods: int, **fields: Any) -> dict[str, Any]:
    [answer] = money.reserve(session, money.a_request(acme, money.tokens_of(session, acme), periods, **fields))
    return answer


@pytest.mark.parametrize("kind", ["minute", "hour", "day"])
def test_a_full_rate_names_the_end_of_its_window_also_while_requests_run(
    session: Connection, acme: Organization, kind: str
) -> None:
    period = money.open_period(session, rate(acme, 2, kind))
    assert [ask(session, acme, period)["verdict"] for _ in range(3)] == ["granted", "granted", "rate_limited"]
    told = ask(session, acme, period)
    ends_at = Period.objects.get(id=period).ends_at
    assert (told["cap"], told["settled"], told["reserved"]) == (2, 0, 2)
    assert datetime.fromisoformat(told["resets_at"]) == ends_at


def test_a_request_that_cost_nothing_gives_its_slot_back(session: Connection, acme: Organization) -> None:
    period = money.open_period(session, rate(acme, 1))
    request = money.a_request(acme, money.tokens_of(session, acme), [period])
    money.reserve(session, request)
    money.end(session, money.an_ending(request, "void"))
    assert ask(session, acme, period)["verdict"] == "granted"


def test_tokens_that_running_requests_hold_may_come_back_before_the_window_ends(
    session: Connection, acme: Organization
) -> None:
    period = money.open_period(session, rate(acme, 25, measure="tokens"))
    request = money.a_request(acme, money.tokens_of(session, acme), [period], tokens=20)
    money.reserve(session, request)
    assert ask(session, acme, period, tokens=10)["verdict"] == "in_flight"
    money.end(session, money.an_ending(request, tokens=20))
    assert ask(session, acme, period, tokens=10)["verdict"] == "rate_limited"
    assert ask(session, acme, period, tokens=5)["verdict"] == "granted"


@pytest.mark.parametrize(("measure", "cap", "tokens"), [("tokens", 25, 26), ("requests", 0, 1)])
def test_what_no_window_has_room_for_is_no_matter_of_waiting(
    session: Connection, acme: Organization, measure: str, cap: int, tokens: int
) -> None:
    period = money.open_period(session, rate(acme, cap, measure=measure))
    assert ask(session, acme, period, tokens=tokens)["verdict"] == "exceeded"


@pytest.mark.parametrize(("kind", "measure"), [("week", "requests"), ("total", "tokens"), ("minute", "nanos")])
def test_long_windows_and_money_are_no_rates(session: Connection, acme: Organization, kind: str, measure: str) -> None:
    period = money.open_period(session, rate(acme, 1, kind, measure))
    request = money.a_request(acme, money.tokens_of(session, acme), [period], nanos=1, tokens=1)
    money.reserve(session, request)
    assert ask(session, acme, period, nanos=1, tokens=1)["verdict"] == "in_flight"
    money.end(session, money.an_ending(request, cost=1, tokens=1))
    assert ask(session, acme, period, nanos=1, tokens=1)["verdict"] == "exceeded"


def test_money_that_is_gone_is_told_before_a_rate_and_a_rate_before_money_in_flight(
    session: Connection, acme: Organization
) -> None:
    minute, hour = (money.open_period(session, rate(acme, 1, kind)) for kind in ("minute", "hour"))
    held = money.open_period(session, money.make_budget(acme, 100))
    small = money.open_period(session, money.make_budget(acme, 50, period_kind="day"))
    assert ask(session, acme, minute, hour, held, nanos=100)["verdict"] == "granted"
    assert ask(session, acme, minute, held)["period_id"] == minute
    longest = ask(session, acme, held, minute, hour)
    assert (longest["verdict"], longest["period_id"]) == ("rate_limited", hour)
    gone = ask(session, acme, minute, small, hour)
    assert (gone["verdict"], gone["period_id"]) == ("exceeded", small)


def test_a_soft_rate_refuses_nothing(session: Connection, acme: Organization) -> None:
    period = money.open_period(session, rate(acme, 1, hardness="soft"))
    assert [ask(session, acme, period)["verdict"] for _ in range(3)] == ["granted"] * 3


def test_the_next_window_is_free_again(session: Connection, acme: Organization) -> None:
    budget = rate(acme, 1)
    assert ask(session, acme, money.open_period(session, budget))["verdict"] == "granted"
    money.set_clock(session, NOON + timedelta(seconds=41))
    assert ask(session, acme, money.open_period(session, budget))["verdict"] == "granted"


def test_a_new_rate_counts_what_its_window_has_seen_and_later_windows_begin_at_once(
    session: Connection, acme: Organization
) -> None:
    request = money.a_request(acme, money.tokens_of(session, acme), [])
    money.reserve(session, request)
    budget = rate(acme, 1, counts_from_now=False)
    Budget.objects.update(created_at=NOON)
    period = money.open_period(session, budget)
    assert ask(session, acme, period)["seeding"]
    assert seeding.seed_waiting() == 1
    assert ask(session, acme, period)["verdict"] == "rate_limited"
    money.set_clock(session, NOON + timedelta(minutes=6))
    assert ask(session, acme, money.open_period(session, budget))["verdict"] == "granted"


@pytest.mark.parametrize(
    ("kind", "measure", "is_short"),
    [("minute", "requests", True), ("hour", "tokens", True), ("minute", "nanos", False), ("day", "requests", False)],
)
def test_the_id_alone_says_that_a_period_may_be_gone(
    session: Connection, acme: Organization, kind: str, measure: str, is_short: bool
) -> None:
    assert (money.open_period(session, rate(acme, 1, kind, measure)) >= SHORT) == is_short


def test_the_worker_opens_no_minutes_and_hours_ahead(session: Connection, acme: Organization) -> None:
    for kind in ("minute", "hour"):
        money.open_period(session, rate(acme, 1, kind))
    assert seeding.open_ahead() == 0


def test_windows_are_forgotten_an_hour_after_their_end_once_they_hold_nothing(
    session: Connection, acme: Organization
) -> None:
    minute, kept = rate(acme, 5), rate(acme, 5, measure="nanos", kind="hour")
    period = money.open_period(session, minute)
    running = money.a_request(acme, money.tokens_of(session, acme), [period, money.open_period(session, kept)], nanos=1)
    money.reserve(session, running)
    money.set_clock(session, NOON + timedelta(minutes=30))
    money.open_period(session, minute)
    money.set_clock(session, NOON + timedelta(minutes=70))
    assert forgetting.forget_short_periods() == 0
    money.end(session, money.an_ending(running, cost=1))
    assert forgetting.forget_short_periods() == 1
    assert forgetting.forget_short_periods() == 0
    money.set_clock(session, NOON + timedelta(minutes=95))
    assert forgetting.forget_short_periods() == 1
    assert [found.budget_id for found in Period.objects.all()] == [kept.id]


@pytest.mark.parametrize("kind", ["settle", "void"])
def test_an_ending_that_comes_after_its_window_was_forgotten_is_booked_all_the_same(
    session: Connection, acme: Organization, kind: str
) -> None:
    long = money.open_period(session, money.make_budget(acme, 1000))
    short = money.open_period(session, rate(acme, 5))
    late = money.a_request(acme, money.tokens_of(session, acme), [short, long])
    money.reserve(session, late)
    money.end(session, money.an_ending(late, "expire", by_hand=True))
    money.set_clock(session, NOON + timedelta(hours=2))
    assert forgetting.forget_short_periods() == 1
    assert money.outcome(session, money.an_ending(late, kind, cost=70)) == "late"
    assert money.counters(session, long) == (70 if kind == "settle" else 0, 0)


def test_a_settle_that_a_failover_lost_may_name_a_window_that_was_forgotten(
    session: Connection, acme: Organization
) -> None:
    long = money.open_period(session, money.make_budget(acme, 1000))
    lost = money.a_request(acme, money.tokens_of(session, acme), [SHORT + 999, long])
    assert money.outcome(session, money.an_ending(lost, cost=70)) == "recovered"
    assert money.counters(session, long) == (70, 0)


def test_the_books_are_right_without_the_windows_that_were_forgotten(session: Connection, acme: Organization) -> None:
    payer = money.make_key(acme, money.make_unit(acme))
    period = money.open_period(session, rate(acme, 5))
    request = money.a_request(acme, money.tokens_of(session, acme), [period], **payer)
    money.reserve(session, request)
    money.end(session, money.an_ending(request))
    money.set_clock(session, NOON + timedelta(hours=2))
    assert list(verify()) == []
    assert forgetting.forget_short_periods() == 1
    assert list(verify()) == []


def test_a_label_that_a_forgotten_window_had_can_be_opened_again(session: Connection, acme: Organization) -> None:
    budget = rate(acme, 5)
    first = money.open_period(session, budget)
    money.set_clock(session, NOON + timedelta(hours=2))
    forgetting.forget_short_periods()
    money.set_clock(session, NOON)
    assert money.open_period(session, budget) > first
