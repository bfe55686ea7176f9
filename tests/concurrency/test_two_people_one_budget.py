"""Two people who change one budget, or parts of it, at once take turns, and the second sees what the first did."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connections, transaction

from apps.budgets import allocating, capping, overriding
from apps.budgets.models import Budget, BudgetOverride
from apps.orgs.models import Organization
from spendra.kernel.errors import Conflict
from tests.budgets import money
from tests.concurrency.callers import in_parallel, meanwhile, until, waits_for_lock
from tests.databases import Database

ANN, BOB = "ann@example.com", "bob@example.com"
SOON = datetime.now(UTC) + timedelta(hours=1)


@pytest.fixture
def acme(database: Database) -> Organization:
    return money.make_organization()


def answer(act: Callable[[], Any]) -> str:
    try:
        act()
    except Conflict:
        return "conflict"
    finally:
        connections.close_all()
    return "done"


def parts(acme: Organization, whole: Budget) -> list[Budget]:
    made = []
    for name in ("Research", "Sales"):
        unit = money.make_unit(acme, name, "team")
        made.append(money.make_budget(acme, 40, unit, allocated_from=whole))
    return made


def test_two_parts_that_grow_at_once_never_exceed_the_whole(acme: Organization) -> None:
    whole = money.make_budget(acme, 100)
    grown = (partial(capping.change_amount, part, amount=60, acting=ANN) for part in parts(acme, whole))
    assert sorted(in_parallel(*(partial(answer, act) for act in grown))) == ["conflict", "done"]
    assert sum(Budget.objects.exclude(id=whole.id).values_list("amount", flat=True)) == 100


def test_a_part_that_grows_and_a_whole_that_shrinks_at_once_never_part(acme: Organization) -> None:
    whole = money.make_budget(acme, 100)
    part, _ = parts(acme, whole)
    acts = (
        partial(capping.change_amount, part, amount=60, acting=ANN),
        partial(capping.change_amount, whole, amount=80, acting=BOB),
    )
    assert sorted(in_parallel(*(partial(answer, act) for act in acts))) == ["conflict", "done"]


def test_two_budgets_that_join_a_whole_at_once_never_exceed_it(acme: Organization) -> None:
    whole = money.make_budget(acme, 100)
    alone = [money.make_budget(acme, 60, money.make_unit(acme, name, "team")) for name in ("Research", "Sales")]
    joined = (partial(allocating.allocate, budget, organization=acme, parent=whole, acting=ANN) for budget in alone)
    assert sorted(in_parallel(*(partial(answer, act) for act in joined))) == ["conflict", "done"]


def test_of_two_overrides_for_the_same_time_one_stands(acme: Organization) -> None:
    budget = money.make_budget(acme, 100)
    acts = (
        partial(
            overriding.override_cap, budget.id, organization=acme, amount=amount, ends_at=SOON, acting=ANN, reason="x"
        )
        for amount in (200, 300)
    )
    assert sorted(in_parallel(*(partial(answer, act) for act in acts))) == ["conflict", "done"]
    assert BudgetOverride.objects.count() == 1


def test_the_database_itself_refuses_overlapping_overrides(database: Database, acme: Organization) -> None:
    budget, now = money.make_budget(acme, 100), datetime.now(UTC)

    def insert() -> str:
        try:
            BudgetOverride.objects.create(
                budget=budget, organization=acme, amount=1, starts_at=now, ends_at=SOON, author=ANN, reason="x"
            )
        except Exception as error:  # noqa: BLE001
            return type(error).__name__
        finally:
            connections.close_all()
        return "inserted"

    assert sorted(in_parallel(insert, insert)) == ["IntegrityError", "inserted"]


def test_of_two_who_saw_the_same_amount_the_second_is_told(acme: Organization) -> None:
    budget = money.make_budget(acme, 100)
    acts = (partial(capping.change_amount, budget, amount=amount, expected_amount=100, acting=ANN) for amount in (1, 2))
    assert sorted(in_parallel(*(partial(answer, act) for act in acts))) == ["conflict", "done"]


def test_the_later_of_two_changes_stands_where_nobody_said_what_he_saw(database: Database, acme: Organization) -> None:
    budget, watcher = money.make_budget(acme, 100), database.connect()

    def second() -> None:
        with transaction.atomic(), connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pids.append(cursor.fetchone()[0])
            capping.change_amount(budget, amount=300, acting=BOB)
        connections.close_all()

    pids: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            capping.change_amount(budget, amount=200, acting=ANN)
            bob = pool.submit(second)
            until(lambda: bool(pids) and waits_for_lock(watcher, pids[0]))
        bob.result(timeout=30)
    assert Budget.objects.get().amount == 300


@pytest.mark.parametrize("act", ["begins", "ends"])
def test_an_override_that_begins_or_ends_waits_for_reserves_that_are_about_to_commit(
    database: Database, acme: Organization, act: str
) -> None:
    """Promise 3: once it has returned, no reservation commits that was decided without it."""
    gateway, watcher = database.connect(), database.connect()
    budget = money.make_budget(acme, 100)
    period = money.open_period(watcher, budget)
    amount, asked = (10, 50) if act == "begins" else (1000, 500)
    give = partial(
        overriding.override_cap, budget.id, organization=acme, amount=amount, ends_at=SOON, acting=ANN, reason="x"
    )
    given = None if act == "begins" else give()
    request = money.a_request(acme, money.tokens_of(watcher, acme), [period], nanos=asked)
    gateway.execute("BEGIN")
    assert money.verdict(gateway, request) == "granted"

    def change() -> int:
        if given is None:
            give()
        else:
            overriding.end_override(given.id, organization=acme, acting=ANN)
        connections.close_all()
        return money.counters(watcher, period)[1]

    with meanwhile(change) as changed:
        until(lambda: changed.done() or _somebody_waits_for_the_fence(gateway))
        assert not changed.done()
        gateway.execute("COMMIT")
    assert changed.result() == asked, "what was reserved by the old cap was there when the change returned"
    late = money.a_request(acme, money.tokens_of(watcher, acme), [period], nanos=asked)
    assert money.verdict(gateway, late) != "granted"


def _somebody_waits_for_the_fence(connection: Any) -> bool:
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
    ).fetchone()
    return bool(row[0])
