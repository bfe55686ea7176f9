"""What passes a threshold without an entry, a cap that moves or history that is counted, is told within a minute."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from apps.budgets import alerting, capping, overriding
from apps.budgets.models import Budget, Period
from apps.policies import lifecycle
from spendra.kernel.clock import database_now
from tests.alerting.test_thresholds_are_crossed_once import a_shop, alert, cap_is, facts, said, waiting
from tests.budgets import money
from tests.databases import Database
from tests.policies.building import activate, make_draft, seen
from tests.rollups.booking import Shop, deliver_all, open_shop


def lower(budget: Budget, amount: int) -> None:
    capping.change_amount(budget, amount=amount, acting="ann@example.com")


def override(shop: Shop, budget: Budget, amount: int, **times: Any) -> Any:
    return overriding.override_cap(
        budget.id,
        organization=shop.organization,
        amount=amount,
        acting="ann@example.com",
        reason="a quiet week",
        **times,
    )


def pass_time(shop: Shop, **time: float) -> None:
    money.set_clock(shop.connection, money.now_of(shop.connection) + timedelta(**time))


def spent(database: Database, amount: int, *thresholds: int) -> tuple[Shop, Budget]:
    """Of a cap of 1000, told as entries tell it."""
    shop, budget = a_shop(database)
    alert(shop, *thresholds)
    shop.spend(amount)
    deliver_all()
    return shop, budget


def test_a_lowered_cap(database: Database) -> None:
    _, budget = spent(database, 400, 50, 90)
    assert alerting.look_again() == 0
    lower(budget, 700)
    assert alerting.look_again() == 1
    assert said() == [(50, "700", "400")]


def test_an_override_that_begins(database: Database) -> None:
    shop, budget = spent(database, 400, 50)
    now = database_now()
    override(shop, budget, 500, starts_at=now + timedelta(hours=1), ends_at=now + timedelta(hours=2))
    assert alerting.look_again() == 0
    pass_time(shop, minutes=61)
    assert alerting.look_again() == 1
    assert said() == [(50, "500", "400")]


@pytest.mark.parametrize("is_by_hand", [True, False])
def test_an_override_that_ends(database: Database, is_by_hand: bool) -> None:
    shop, budget = a_shop(database)
    alert(shop, 50)
    given = override(shop, budget, 10_000, ends_at=database_now() + timedelta(hours=1))
    shop.spend(600)
    deliver_all()
    assert alerting.look_again() == 0
    if is_by_hand:
        overriding.end_override(given.id, organization=shop.organization, acting="ann@example.com")
    else:
        pass_time(shop, minutes=61)
    assert alerting.look_again() == 1
    assert said() == [(50, "1000", "600")]


def test_history_that_a_new_budget_counts(database: Database) -> None:
    shop = open_shop(database)
    alert(shop, 50)
    shop.spend(600)
    deliver_all()
    assert facts() == []
    budget = capping.set_cap(
        organization=shop.organization, period_kind="month", amount=1_000, acting="ann@example.com"
    )
    assert Period.objects.get(budget=budget).settled == 600
    assert alerting.look_again() == 1
    assert said() == [(50, "1000", "600")]


def test_a_policy_that_comes_into_force_later(database: Database) -> None:
    shop, _ = a_shop(database)
    shop.spend(600)
    deliver_all()
    later = make_draft(shop.organization, "later", kind="alert", rule={"thresholds": [50]})
    activate(later, effective_from=database_now() + timedelta(hours=1))
    assert alerting.look_again() == 0
    pass_time(shop, minutes=61)
    assert alerting.look_again() == 1


def test_who_notices_first_tells_it_and_nobody_else(database: Database) -> None:
    shop, budget = spent(database, 400, 20, 50, 60)
    assert [threshold for threshold, _, _ in said()] == [20]
    lower(budget, 800)
    assert alerting.look_again() == 1
    assert alerting.look_again() == 0
    shop.spend(100)
    deliver_all()
    assert alerting.look_again() == 0
    assert said() == [(20, "1000", "400"), (50, "800", "400"), (60, "800", "500")]


def test_those_who_look_at_once_tell_it_once(database: Database) -> None:
    thresholds = [10, 20, 30, 40, 50]
    shop, _ = a_shop(database)
    alert(shop, *thresholds)
    shop.spend(600)
    messages = waiting()

    def look(turn: int) -> int:
        try:
            if turn % 2:
                return alerting.look_again()
            with transaction.atomic():
                alerting.note_crossings(messages)
            return 0
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(look, range(12)))
    assert sorted(threshold for threshold, _, _ in said()) == thresholds


def test_in_shadow_it_is_noted_once_and_told_once_it_is_active(database: Database) -> None:
    shop, budget = a_shop(database)
    draft = make_draft(shop.organization, "telling", kind="alert", rule={"thresholds": [50]})
    version = lifecycle.to_shadow(draft, **seen(draft)).version
    shop.spend(400)
    deliver_all()
    lower(budget, 600)
    noted = []
    for _ in range(2):
        assert alerting.look_again() == 0
        noted.append(shop.connection.execute("SELECT is_shadow, xmin::text FROM budgets_crossing").fetchall())
    assert len(noted[0]) == 1
    assert noted[0] == noted[1], "a look that finds nothing new writes nothing"
    activate(version)
    assert alerting.look_again() == 1
    assert said() == [(50, "600", "400")]


def test_every_unit_of_an_each_budget_in_more_than_one_batch(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "_BATCH", 2)
    shop = open_shop(database)
    each = money.make_budget(shop.organization, 1_000, applies_to_each="employee")
    units = [money.make_unit(shop.organization, f"Ada {number}") for number in range(5)]
    for unit in units:
        shop.periods = [money.open_period(shop.connection, each, unit)]
        shop.spend(400)
    alert(shop, 50)
    deliver_all()
    assert facts() == []
    lower(each, 800)
    assert alerting.look_again() == 5
    assert {fact["unit_id"] for fact in facts()} == {str(unit.id) for unit in units}


def test_nothing_is_told_of_rates_of_what_is_over_or_archived_or_of_others(database: Database) -> None:
    shop = open_shop(database)
    other, others = a_shop(database, slug="other")
    rate = money.make_budget(shop.organization, 1, measure="requests", period_kind="hour")
    today, archived = (money.make_budget(shop.organization, 1_000, period_kind=kind) for kind in ("day", "total"))
    shop.periods += [money.open_period(shop.connection, budget) for budget in (rate, today, archived)]
    for one in (shop, other):
        one.spend(400)
    deliver_all()
    alert(shop, 50)
    assert alerting.look_again() == 0, "the hour is full"
    pass_time(shop, days=1)
    for budget in (today, archived, others):
        cap_is(budget, 1)
    Budget.objects.filter(id=archived.id).update(archived_at=database_now())
    assert alerting.look_again() == 0
    cap_is(archived, 2)
    Budget.objects.filter(id=archived.id).update(archived_at=None)
    assert alerting.look_again() == 1


def test_it_is_about_the_budgets_of_its_scope(database: Database) -> None:
    shop, budget = a_shop(database)
    own = money.make_budget(shop.organization, 1_000, shop.actor)
    shop.periods.append(money.open_period(shop.connection, own))
    shop.spend(400)
    deliver_all()
    alert(shop, 50, unit=shop.actor)
    for one in (budget, own):
        lower(one, 500)
    assert alerting.look_again() == 1
    assert [fact["budget_id"] for fact in facts()] == [str(own.id)]
