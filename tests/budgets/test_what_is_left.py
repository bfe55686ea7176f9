"""What is left of a cap, exactly and cheaply: the cap in force, what is spent, what is held, when it is free again."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.budgets import capping, exceeding, overriding, queries
from apps.budgets.models import Period
from apps.orgs.models import Organization
from spendra.kernel.errors import Conflict, NotFound
from tests.budgets import money
from tests.concurrency.callers import Connection

ANN = "ann@example.com"


def spend(connection: Connection, acme: Organization, *periods: int) -> None:
    """60 settled, 100 held."""
    ended, running = (money.a_request(acme, money.tokens_of(connection, acme), periods) for _ in range(2))
    money.reserve(connection, ended, running)
    money.end(connection, money.an_ending(ended, cost=60))


def test_what_is_left_counts_what_is_spent_and_what_is_held(connection: Connection, acme: Organization) -> None:
    budgets = [money.make_budget(acme, 1000), money.make_budget(acme, 5, measure="requests", period_kind="day")]
    periods = [money.open_period(connection, budget) for budget in budgets]
    spend(connection, acme, *periods)
    requests, dollars = queries.remaining(acme, periods[::-1])
    assert (dollars["cap"], dollars["settled"], dollars["reserved"], dollars["remaining"]) == (1000, 60, 100, 840)
    assert (requests["measure"], requests["period_kind"], requests["remaining"]) == ("requests", "day", 3)
    assert datetime.fromisoformat(requests["ends_at"]) == Period.objects.get(id=periods[1]).ends_at
    assert [dollars["budget_id"], requests["budget_id"]] == [str(budget.id) for budget in budgets]


def test_what_is_left_is_of_the_cap_in_force(connection: Connection, acme: Organization) -> None:
    budget = money.make_budget(acme, 1000)
    period = money.open_period(connection, budget)
    ends_at = datetime.now(UTC) + timedelta(hours=1)
    given = overriding.override_cap(
        budget.id, organization=acme, amount=50, ends_at=ends_at, acting=ANN, reason="freeze"
    )
    [state] = queries.remaining(acme, [period])
    assert (state["cap"], state["base"], state["remaining"]) == (50, 1000, 50)
    assert state["override_ends_at"] is not None
    assert datetime.fromisoformat(state["override_ends_at"]) == ends_at
    overriding.end_override(given.id, organization=acme, acting=ANN)
    [state] = queries.remaining(acme, [period])
    assert (state["cap"], state["override_ends_at"]) == (1000, None)


def test_a_cap_below_what_is_spent_is_accepted_and_told(connection: Connection, acme: Organization) -> None:
    budget = money.make_budget(acme, 1000)
    period = money.open_period(connection, budget)
    spend(connection, acme, period)
    assert exceeding.above_caps(acme, [budget.id]) == []
    capping.change_amount(budget, amount=10, acting=ANN)
    [above] = exceeding.above_caps(acme, [budget.id])
    assert (above.above, above.causes, above.period["id"]) == (150, {"cap_lowered": 150}, period)
    request = money.a_request(acme, money.tokens_of(connection, acme), [period], nanos=1)
    assert money.verdict(connection, request) == "exceeded"


def test_a_warning_says_until_when_requests_are_refused(connection: Connection, acme: Organization) -> None:
    total, day = money.make_budget(acme, 1000), money.make_budget(acme, 1000, period_kind="day")
    periods = [money.open_period(connection, budget) for budget in (total, day)]
    request = money.a_request(acme, money.tokens_of(connection, acme), periods)
    money.reserve(connection, request)
    capping.change_amount(total, amount=10, acting=ANN)
    capping.change_amount(day, amount=10, acting=ANN)
    for budget in (total, day):
        [warning] = exceeding.warnings(acme, budget)
        assert warning.endswith("requests are refused until what running requests have reserved is free again.")
    money.end(connection, money.an_ending(request, cost=60))
    assert exceeding.warnings(acme, total)[0].endswith("requests are refused until it is raised.")
    [state] = queries.remaining(acme, periods[1:])
    assert exceeding.warnings(acme, day)[0].endswith(f"requests are refused until {state['ends_at']}.")


def test_of_many_periods_above_a_cap_the_furthest_are_named(connection: Connection, acme: Organization) -> None:
    each = money.make_budget(acme, 1000, applies_to_each="employee", counts_from_now=True)
    units = [money.make_unit(acme, f"Ada {number}") for number in range(7)]
    for number, unit in enumerate(units):
        request = money.a_request(
            acme, money.tokens_of(connection, acme), [money.open_period(connection, each, unit)], nanos=100 + number
        )
        money.reserve(connection, request)
        money.end(connection, money.an_ending(request, cost=100 + number))
    capping.change_amount(each, amount=10, acting=ANN)
    *named, rest = exceeding.warnings(acme, each)
    assert ["of employee Ada" in warning for warning in named] == [True] * 5
    assert "Ada 6" in named[0]
    assert rest == "Warning: 2 more periods are above this cap."


def test_what_was_late_or_lost_is_counted_by_that_cause(connection: Connection, acme: Organization) -> None:
    late_budget, lost_budget = money.make_budget(acme, 100), money.make_budget(acme, 100, period_kind="day")
    late_period, lost_period = (money.open_period(connection, budget) for budget in (late_budget, lost_budget))
    late = money.a_request(acme, money.tokens_of(connection, acme), [late_period])
    money.reserve(connection, late)
    money.end(connection, money.an_ending(late, "expire", by_hand=True))
    money.end(connection, money.an_ending(late, cost=130))
    lost = money.a_request(acme, money.tokens_of(connection, acme), [lost_period])
    money.end(connection, money.an_ending(lost, cost=170))
    causes = {str(above.period["budget_id"]): above.causes for above in exceeding.above_caps(
        acme, [late_budget.id, lost_budget.id])}  # fmt: skip
    assert causes == {str(late_budget.id): {"late_settle": 30}, str(lost_budget.id): {"failover": 70}}


def test_somebody_who_saw_another_amount_is_told_and_changes_nothing(acme: Organization) -> None:
    budget = money.make_budget(acme, 1000)
    capping.change_amount(budget, amount=2000, expected_amount=1000, acting=ANN)
    with pytest.raises(Conflict, match="in the meantime") as refusal:
        capping.change_amount(budget, amount=3000, expected_amount=1000, acting="bob@example.com")
    assert refusal.value.details == {"amount": "2000"}
    assert capping.change_amount(budget, amount=3000, acting="bob@example.com").amount == 3000


def test_another_organizations_periods_and_those_that_are_not_there_are_not_found(
    connection: Connection, acme: Organization
) -> None:
    other = money.make_organization("other")
    period = money.open_period(connection, money.make_budget(other, 100))
    for wanted in ([period], [999_999]):
        with pytest.raises(NotFound):
            queries.remaining(acme, wanted)
    with pytest.raises(NotFound):
        queries.find_budget(acme, Period.objects.get().budget_id)
    assert queries.remaining(acme, []) == []
