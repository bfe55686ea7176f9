import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection as django_connection

from apps.budgets import capping, seeding
from apps.budgets.models import Budget, Period
from apps.budgets.verifying import verify
from apps.orgs.models import Organization
from tests.budgets import money
from tests.concurrency.callers import Caller, Connection, deadlocks, in_parallel, meanwhile, until, waits_for_lock
from tests.databases import Database


@pytest.fixture
def acme(database: Database) -> Organization:
    acme = money.make_organization()
    money.beat(database.connect())
    return acme


def keys_of(budgets: list[Budget], at: datetime) -> list[Any]:
    return [seeding.period_key(budget, at=at) for budget in budgets]


def test_the_first_use_by_many_at_once_opens_one_period_for_all(database: Database, acme: Organization) -> None:
    connections = [database.connect() for _ in range(16)]
    budgets = [money.make_budget(acme, 100, period_kind=kind) for kind in ("total", "day", "week", "month")]
    keys = keys_of(budgets, money.now_of(connections[0]))
    shuffled = [keys[turn % 4 :] + keys[: turn % 4] for turn in range(16)]
    barrier = threading.Barrier(16)

    def open_all(connection: Connection, mine: list[Any]) -> dict[str, int]:
        barrier.wait()
        found = money.open_periods(connection, mine)
        return {key.budget_id: period["id"] for key, period in zip(mine, found, strict=True)}

    opened = in_parallel(*(partial(open_all, *pair) for pair in zip(connections, shuffled, strict=True)))
    assert all(ids == opened[0] for ids in opened)
    assert Period.objects.count() == 4
    assert deadlocks(connections[0]) == 0


def test_two_first_uses_in_opposite_order_wait_instead_of_ending_each_other(
    database: Database, acme: Organization
) -> None:
    one, other, watcher = (database.connect() for _ in range(3))
    budgets = sorted((money.make_budget(acme, 100, period_kind=kind) for kind in ("day", "week")), key=lambda b: b.id)
    low, high = keys_of(budgets, money.now_of(watcher))
    one.execute("BEGIN")
    [first] = money.open_periods(one, [low])
    with meanwhile(partial(money.open_periods, other, [high, low])) as opened:
        until(lambda: waits_for_lock(watcher, other.info.backend_pid))
        # Had the other inserted `high` before it waits for `low`, this would be the deadlock.
        [second] = money.open_periods(one, [high])
        one.execute("COMMIT")
    assert [period["id"] for period in opened.result()] == [second["id"], first["id"]]


def test_first_uses_by_an_old_and_a_new_week_open_one_period(database: Database, acme: Organization) -> None:
    """Of different labels: two that overlap would each have the whole cap."""
    one, other, watcher = (database.connect() for _ in range(3))
    money.set_clock(watcher, datetime(2026, 11, 29, 12, tzinfo=UTC))  # a Sunday
    budget = money.make_budget(acme, 100, period_kind="week")
    [old] = keys_of([budget], money.now_of(watcher))
    acme.week_starts_on = 6
    acme.save()
    [new] = keys_of([Budget.objects.get(id=budget.id)], money.now_of(watcher))
    assert old.label != new.label
    one.execute("BEGIN")
    [first] = money.open_periods(one, [old])
    with meanwhile(partial(money.open_periods, other, [new])) as opened:
        until(lambda: waits_for_lock(watcher, other.info.backend_pid))
        one.execute("COMMIT")
    assert [period["id"] for period in opened.result()] == [first["id"]]
    assert Period.objects.count() == 1


def test_a_cap_set_under_load_counts_all_that_was_spent_and_is_kept(database: Database, acme: Organization) -> None:
    callers = []
    for number in range(4):
        unit = money.make_unit(acme, f"Employee {number}")
        money.make_key(acme, unit)
        callers.append(Caller(database.connect(), acme, [unit], seed=number))
    is_over = threading.Event()

    def load(caller: Caller) -> None:
        running: list[dict[str, Any]] = []
        while not is_over.is_set():
            request = caller.reserve(caller.random.randint(1, 100))
            running += [request] if request else []
            if len(running) > 5:
                caller.settle(running.pop(0), caller.random.randint(0, 100))
        for request in running:
            caller.settle(request, 7)

    def set_caps() -> None:
        pause = threading.Event()
        for cap, fields in (
            (10**9, {"period_kind": "total"}),
            (10**6, {"period_kind": "month"}),
            (10**9, {"period_kind": "day", "measure": "requests"}),
            (10**9, {"period_kind": "year", "unit": callers[0].scopes[0]}),
            (60_000, {"period_kind": "week"}),
            (10**9, {"period_kind": "total", "applies_to_each": "employee"}),
        ):
            pause.wait(0.25)
            capping.set_cap(organization=acme, amount=cap, acting="ann@example.com", **fields)
        pause.wait(0.25)
        until(lambda: seeding.seed_waiting() == 0)
        is_over.set()

    in_parallel(*(partial(load, caller) for caller in callers), set_caps)
    seeding.seed_waiting()
    assert list(verify()) == []
    assert_periods_hold_the_whole_spend(database.connect(), acme)


def assert_periods_hold_the_whole_spend(connection: Connection, acme: Organization) -> None:
    rows = connection.execute(
        "SELECT b.measure, p.is_seeding, p.settled, p.reserved, spent.requests, spent.nanos "
        "FROM budgets_period p JOIN budgets_budget b ON b.id = p.budget_id, LATERAL ("
        "  SELECT count(*) AS requests, sum(amount_nanos) AS nanos FROM ledger_ledgerentry e"
        "  WHERE e.scope_ids @> ARRAY[coalesce(p.unit_id, b.unit_id, p.organization_id)]) spent"
    ).fetchall()
    assert len(rows) == 9
    for measure, is_seeding, settled, reserved, requests, nanos in rows:
        assert (is_seeding, settled, reserved) == (False, requests if measure == "requests" else nanos, 0)


def test_two_who_set_the_same_cap_at_once_make_one_budget(database: Database, acme: Organization) -> None:
    def set_cap(amount: int) -> object:
        try:
            return capping.set_cap(organization=acme, period_kind="day", amount=amount, acting="ann@example.com").id
        finally:
            django_connection.close()

    ids = in_parallel(*(partial(set_cap, amount) for amount in range(100, 108)))
    assert len(set(ids)) == 1
    assert Budget.objects.get().amount in range(100, 108)


def test_seeding_waits_for_the_settle_of_what_is_open_and_counts_it_once(
    database: Database, acme: Organization
) -> None:
    gateway, seeder, watcher = (database.connect() for _ in range(3))
    request = money.a_request(acme, money.tokens_of(watcher, acme), [])
    money.reserve(gateway, request)
    period = money.open_period(watcher, money.make_budget(acme, 1000, counts_from_now=False))
    gateway.execute("BEGIN")
    money.end(gateway, money.an_ending(request, cost=60))
    with meanwhile(lambda: seeder.execute("SELECT budgets_seed_v2(%s)", (period,)).fetchone()):
        until(lambda: waits_for_lock(watcher, seeder.info.backend_pid))
        gateway.execute("COMMIT")
    assert money.counters(watcher, period) == (60, 0)


def test_a_soft_budget_refuses_nobody_while_its_history_is_counted_and_counts_all_of_it(
    database: Database, acme: Organization
) -> None:
    connection = database.connect()
    tokens = money.tokens_of(connection, acme)
    before, running = (money.a_request(acme, tokens, []) for _ in range(2))
    money.reserve(connection, before, running)
    money.end(connection, money.an_ending(before, cost=60))
    soft = money.make_budget(acme, 10, hardness="soft", counts_from_now=False)
    period = money.open_period(connection, soft)
    ended, held = (money.a_request(acme, money.tokens_of(connection, acme), [period]) for _ in range(2))
    assert [answer["verdict"] for answer in money.reserve(connection, ended, held)] == ["granted"] * 2
    money.end(connection, money.an_ending(ended, cost=7))
    assert seeding.seed_waiting() == 1
    assert money.counters(connection, period) == (67, 200)


def test_two_seeders_of_one_period_fill_it_once(database: Database, acme: Organization) -> None:
    connection = database.connect()
    request = money.a_request(acme, money.tokens_of(connection, acme), [])
    money.reserve(connection, request)
    period = money.open_period(connection, money.make_budget(acme, 1000, counts_from_now=False))
    seeders = [database.connect() for _ in range(6)]
    filled = in_parallel(
        *(partial(lambda c: c.execute("SELECT budgets_seed_v2(%s)", (period,)).fetchone()[0], c) for c in seeders)
    )
    assert sorted(filled) == [False] * 5 + [True]
    assert money.counters(connection, period) == (0, 100)


def test_periods_adopt_the_bounds_of_whoever_opened_them(database: Database, acme: Organization) -> None:
    connection = database.connect()
    at = money.now_of(connection)
    [key] = keys_of([money.make_budget(acme, 100, period_kind="day")], at)
    [mine] = money.open_periods(connection, [key])
    moved = (datetime.fromisoformat(key.starts_at) - timedelta(hours=1)).isoformat()
    [theirs] = money.open_periods(connection, [replaced(key, starts_at=moved)])
    assert theirs == mine


def replaced(key: Any, **fields: Any) -> Any:
    return type(key)(**{**{name: getattr(key, name) for name in type(key).__slots__}, **fields})


@pytest.mark.parametrize(("first", "then"), [("Pacific/Auckland", "America/Los_Angeles"), ("UTC", "Asia/Tokyo")])
def test_a_new_time_zone_acts_from_the_next_period_and_leaves_no_gap(
    database: Database, acme: Organization, first: str, then: str
) -> None:
    connection = database.connect()
    budget = money.make_budget(acme, 100, period_kind="day")
    windows: list[dict[str, Any]] = []
    for hours in range(80):
        budget.organization.time_zone = first if hours < 20 else then
        at = datetime(2031, 5, 2, 1, 30, tzinfo=UTC) + timedelta(hours=hours)
        [window] = money.open_periods(connection, [seeding.period_key(budget, at=at)])
        assert datetime.fromisoformat(window["starts_at"]) <= at < datetime.fromisoformat(window["ends_at"])
        if window not in windows:
            windows.append(window)
    for before, after in pairwise(windows):
        assert before["ends_at"] == after["starts_at"]
    assert Period.objects.count() == len(windows)


def test_a_period_of_a_budget_that_is_not_there_has_no_id(database: Database, acme: Organization) -> None:
    connection = database.connect()
    key = seeding.period_key(Budget(organization=acme, period_kind="total"), at=money.now_of(connection))
    assert money.open_periods(connection, [key])[0]["id"] is None
