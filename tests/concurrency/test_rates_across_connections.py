"""A rate is exact however many processes ask: it is decided where the money is, in the same round trip."""

import threading
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from apps.budgets import forgetting
from apps.budgets.models import Period
from apps.budgets.verifying import verify
from apps.orgs.models import Organization
from tests.budgets import money
from tests.concurrency.callers import Caller, in_parallel
from tests.concurrency.test_no_overspend import NO_LOCKS, SLOW_TO_DECIDE
from tests.databases import Database

NOON = datetime(2031, 5, 14, 12, tzinfo=UTC)


@pytest.fixture
def acme(database: Database) -> Organization:
    connection = database.connect()
    money.set_clock(connection, NOON)
    connection.execute("SELECT budgets_ensure_partitions_v1(), ledger_ensure_partitions_v1()")
    acme = money.make_organization()
    money.beat(connection)
    return acme


def callers(database: Database, acme: Organization, count: int) -> list[Caller]:
    made = []
    for number in range(count):
        unit = money.make_unit(acme, f"Caller {number}")
        money.make_key(acme, unit)
        made.append(Caller(database.connect(), acme, [unit], seed=number))
    return made


def hammer(caller: Caller, refusals: int = 30) -> int:
    """How many passed until so many were refused; some are settled at once, some never."""
    passed = 0
    while refusals:
        request = caller.reserve(1)
        if request is None:
            refusals -= 1
            continue
        passed += 1
        if passed % 2:
            caller.settle(request, 1)
    return passed


def let_pass(asking: list[Caller]) -> int:
    """Of callers who ask until each was refused ten times."""
    return sum(in_parallel(*(partial(hammer, caller, 10) for caller in asking)))


def test_never_more_than_the_rate_passes_in_a_window(database: Database, acme: Organization) -> None:
    database.connect().execute(SLOW_TO_DECIDE)
    money.make_budget(acme, 20, period_kind="hour", measure="requests")
    assert let_pass(callers(database, acme, 6)) == 20


def test_the_control_without_the_locks_lets_more_pass(database: Database, acme: Organization) -> None:
    """In one of five windows: on a busy machine the callers may come one after the other."""
    connection = database.connect()
    connection.execute(f"{SLOW_TO_DECIDE};{NO_LOCKS}")
    money.make_budget(acme, 20, period_kind="hour", measure="requests")
    asking = callers(database, acme, 6)
    for hour in range(5):
        money.set_clock(connection, NOON + timedelta(hours=hour))
        if let_pass(asking) > 20:
            return
    raise AssertionError("the control passed no more than the rate")


def test_each_window_lets_its_own_number_pass_while_the_clock_goes_on_and_old_ones_are_forgotten(
    database: Database, acme: Organization
) -> None:
    money.make_budget(acme, 15, period_kind="minute", measure="requests")
    clock, is_over = database.connect(), threading.Event()
    asking = callers(database, acme, 4)

    def call(caller: Caller) -> None:
        while not is_over.is_set():
            request = caller.reserve(1)
            if request is not None:
                caller.settle(request, 1)

    def pass_time() -> None:
        for minute in range(1, 8):
            is_over.wait(0.25)
            money.set_clock(clock, NOON + timedelta(minutes=minute, seconds=59.8))
        is_over.wait(0.25)
        is_over.set()

    in_parallel(*(partial(call, caller) for caller in asking), pass_time)
    windows = list(Period.objects.values_list("settled", "reserved"))
    assert len(windows) > 8
    assert max(settled for settled, _ in windows) == 15
    assert all(held == 0 for _, held in windows)
    money.set_clock(clock, NOON + timedelta(hours=2))
    assert in_parallel(*[forgetting.forget_short_periods]) == [len(windows)]
    assert list(verify()) == []


def test_forgetting_never_waits_for_a_settle_nor_fails_it(database: Database, acme: Organization) -> None:
    connection, holder = database.connect(), database.connect()
    budget = money.make_budget(acme, 15, period_kind="minute", measure="requests")
    period = money.open_period(connection, budget)
    request = money.a_request(acme, money.tokens_of(connection, acme), [period])
    money.reserve(connection, request)
    money.set_clock(connection, NOON + timedelta(hours=2))
    holder.execute("BEGIN")
    assert money.outcome(holder, money.an_ending(request)) == "settled"
    assert forgetting.forget_short_periods() == 0
    holder.execute("COMMIT")
    assert forgetting.forget_short_periods() == 1


def test_several_workers_forget_each_window_once(database: Database, acme: Organization) -> None:
    connection = database.connect()
    budget = money.make_budget(acme, 15, applies_to_each="employee", period_kind="hour", measure="requests")
    for number in range(30):
        money.open_period(connection, budget, money.make_unit(acme, f"Employee {number}"))
    money.set_clock(connection, NOON + timedelta(hours=3))
    assert sum(in_parallel(*[forgetting.forget_short_periods] * 3)) == 30
    assert not Period.objects.exists()
