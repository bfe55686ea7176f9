"""A day ends in mid-run, in a zone that puts its clocks back in that night; reservations are open across it."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from apps.budgets import maintenance
from apps.budgets.models import Period
from apps.budgets.verifying import verify
from tests.budgets import money
from tests.concurrency.callers import Caller, in_parallel, watched
from tests.concurrency.test_no_overspend import ABOVE_ITS_CAP
from tests.databases import Database

# Havana's 2 November 2025 has 25 hours; its midnight comes twice, and the first one counts.
MIDNIGHTS = [
    (datetime(2025, 11, 2, 4, tzinfo=UTC), "D2025-11-01", "D2025-11-02"),
    (datetime(2025, 11, 3, 5, tzinfo=UTC), "D2025-11-02", "D2025-11-03"),
]
OUTSIDE_ITS_PERIOD = """
    SELECT r.id, r.reserved_at, p.label FROM budgets_reservation r JOIN budgets_period p ON p.id = ANY (r.period_ids)
    WHERE r.reserved_at < p.starts_at OR r.reserved_at >= p.ends_at
"""


@pytest.mark.parametrize(("midnight", "before", "after"), MIDNIGHTS)
def test_a_day_ends_while_requests_run(database: Database, midnight: datetime, before: str, after: str) -> None:
    connection = database.connect()
    havana = money.make_organization("havana", time_zone="America/Havana")
    money.set_clock(connection, midnight - timedelta(minutes=1))
    maintenance.ensure_partitions()
    money.make_budget(havana, 10**15)
    money.make_budget(havana, 40_000, period_kind="day")
    callers = []
    for number in range(4):
        unit = money.make_unit(havana, f"Employee {number}")
        money.make_key(havana, unit)
        callers.append(Caller(database.connect(), havana, [unit], seed=number))
    is_over = clock_passes(database, midnight + timedelta(seconds=0.5))
    money.set_clock(connection, midnight - timedelta(seconds=0.7))
    money.beat(connection)
    with watched(database, ABOVE_ITS_CAP) as passed:
        in_parallel(*(partial(spend, caller, is_over) for caller in callers))

    assert passed == []
    assert list(verify()) == []
    assert connection.execute(OUTSIDE_ITS_PERIOD).fetchall() == []
    days = {period.label: period for period in Period.objects.exclude(label="T")}
    assert set(days) == {before, after}
    assert days[before].ends_at == days[after].starts_at == midnight
    assert all(day.settled > 0 and day.reserved == 0 for day in days.values())
    [late] = connection.execute(
        "SELECT count(*) FROM ledger_ledgerentry WHERE %s = ANY (period_ids) AND booked_at > %s",
        (days[before].id, midnight),
    ).fetchall()
    assert late[0] > 0, "nothing was open across midnight"


def clock_passes(database: Database, end: datetime) -> Callable[[], bool]:
    watcher, lock = database.connect(), threading.Lock()

    def is_over() -> bool:
        with lock:
            return money.now_of(watcher) >= end

    return is_over


def spend(caller: Caller, is_over: Callable[[], bool]) -> None:
    running: list[dict[str, Any]] = []
    while not is_over():
        request = caller.reserve(caller.random.randint(1, 60))
        running += [request] if request else []
        if len(running) > 8:
            caller.settle(running.pop(0), caller.random.randint(0, 10))
    for request in running:
        caller.settle(request, 3)


def test_a_request_decided_for_the_day_before_is_stale_after_midnight(database: Database) -> None:
    connection = database.connect()
    midnight, before, _ = MIDNIGHTS[0]
    havana = money.make_organization("havana", time_zone="America/Havana")
    budget = money.make_budget(havana, 1000, period_kind="day")
    money.set_clock(connection, midnight - timedelta(minutes=1))
    period = money.open_period(connection, budget)
    assert Period.objects.get().label == before
    request = money.a_request(havana, money.tokens_of(connection, havana), [period])
    money.set_clock(connection, midnight)
    assert money.verdict(connection, request) == "stale"
    assert money.open_period(connection, budget) != period


def test_what_was_reserved_before_midnight_settles_into_the_day_it_was_reserved_in(database: Database) -> None:
    connection = database.connect()
    midnight, _, _ = MIDNIGHTS[0]
    havana = money.make_organization("havana", time_zone="America/Havana")
    money.set_clock(connection, midnight - timedelta(minutes=1))
    maintenance.ensure_partitions()
    money.beat(connection)
    caller = Caller(connection, havana, [money.make_unit(havana)])
    money.make_budget(havana, 1000, period_kind="day")
    request = caller.reserve(100)
    assert request is not None
    money.set_clock(connection, midnight + timedelta(minutes=1))
    caller.settle(request, 60)
    assert money.counters(connection, request["period_ids"][0]) == (60, 0)
    row = connection.execute("SELECT occurred_at < %s, booked_at > %s FROM ledger_ledgerentry", (midnight,) * 2)
    assert row.fetchall() == [(True, True)]
