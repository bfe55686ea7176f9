"""A cap may be another one for a time: reserve takes the override that is in force by its own clock."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from apps.audit.models import AuditRecord
from apps.budgets import capping, exceeding, overriding
from apps.budgets.models import Budget, BudgetOverride
from apps.orgs.models import Organization
from spendra.kernel.errors import Conflict, Invalid, NotFound
from spendra.kernel.money import MAX_CAP_NANOS
from tests.budgets import money
from tests.concurrency.callers import Connection
from tests.databases import Database

NOON = datetime(2031, 5, 14, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


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


def override(budget: Budget, amount: int, **fields: Any) -> BudgetOverride:
    given = {"ends_at": NOON + HOUR, "reason": "launch day", "acting": "ann@example.com", **fields}
    return overriding.override_cap(budget.id, organization=budget.organization, amount=amount, **given)


def reserve(session: Connection, acme: Organization, period: int, nanos: int) -> str:
    return money.verdict(session, money.a_request(acme, money.tokens_of(session, acme), [period], nanos))


def test_an_override_raises_the_cap_from_the_next_request_on_and_leaves_the_base(
    session: Connection, acme: Organization
) -> None:
    budget = money.make_budget(acme, 100)
    period = money.open_period(session, budget)
    assert reserve(session, acme, period, 150) == "exceeded"
    override(budget, 200)
    assert reserve(session, acme, period, 150) == "granted"
    assert Budget.objects.get().amount == 100


def test_an_override_may_lower_a_cap_to_nothing(session: Connection, acme: Organization) -> None:
    budget = money.make_budget(acme, 100)
    period = money.open_period(session, budget)
    override(budget, 0)
    assert reserve(session, acme, period, 1) == "exceeded"


def test_an_override_begins_and_ends_by_the_clock_alone(session: Connection, acme: Organization) -> None:
    budget = money.make_budget(acme, 100)
    period = money.open_period(session, budget)
    override(budget, 1000, starts_at=NOON + HOUR, ends_at=NOON + 2 * HOUR)
    tokens = money.tokens_of(session, acme)
    asked = {}
    for minutes in (59, 60, 119, 120):
        money.set_clock(session, NOON + timedelta(minutes=minutes))
        asked[minutes] = money.verdict(session, money.a_request(acme, tokens, [period], 101))
        session.execute("UPDATE budgets_period SET reserved = 0")
    assert asked == {59: "exceeded", 60: "granted", 119: "granted", 120: "exceeded"}


def test_what_runs_when_an_override_ends_settles_and_stands_above_the_cap_by_that_cause(
    session: Connection, acme: Organization
) -> None:
    budget = money.make_budget(acme, 100)
    period = money.open_period(session, budget)
    override(budget, 300)
    request = money.a_request(acme, money.tokens_of(session, acme), [period], 250)
    assert money.verdict(session, request) == "granted"
    money.set_clock(session, NOON + HOUR)
    assert money.outcome(session, money.an_ending(request, cost=250)) == "settled"
    assert reserve(session, acme, period, 1) == "exceeded"
    [above] = exceeding.above_caps(acme, [budget.id])
    assert (above.above, above.causes) == (150, {"override_ended": 150})


def test_overage_and_a_lowered_cap_are_counted_apart_from_what_an_override_left(
    session: Connection, acme: Organization
) -> None:
    budget = money.make_budget(acme, 100)
    period = money.open_period(session, budget)
    given = override(budget, 120)
    request = money.a_request(acme, money.tokens_of(session, acme), [period], 120)
    money.reserve(session, request)
    money.end(session, money.an_ending(request, cost=150))
    overriding.end_override(given.id, organization=acme, acting="ann@example.com")
    assert exceeding.above_caps(acme, [budget.id])[0].causes == {"overage": 30, "override_ended": 20}
    capping.change_amount(budget, amount=90, acting="ann@example.com")
    assert exceeding.above_caps(acme, [budget.id])[0].causes == {"overage": 30, "override_ended": 30}
    BudgetOverride.objects.all().delete()
    assert exceeding.above_caps(acme, [budget.id])[0].causes == {"overage": 30, "cap_lowered": 30}


def test_an_override_may_be_ended_early_once(session: Connection, acme: Organization) -> None:
    budget = money.make_budget(acme, 100)
    period = money.open_period(session, budget)
    given = override(budget, 1000)
    ended = [
        overriding.end_override(given.id, organization=acme, acting="bob@example.com", reason="over").ended_at
        for _ in range(2)
    ]
    assert ended[0] == ended[1] is not None
    assert reserve(session, acme, period, 101) == "exceeded"
    records = AuditRecord.objects.filter(object_kind="override").order_by("id")
    assert list(records.values_list("action", "actor", "reason")) == [
        ("budgets.override_cap", "ann@example.com", "launch day"),
        ("budgets.end_override", "bob@example.com", "over"),
    ]


@pytest.mark.parametrize(("starts", "ends"), [(0, 60), (30, 40), (30, 90), (0, 1)])
def test_overrides_of_one_budget_never_overlap(session: Connection, acme: Organization, starts: int, ends: int) -> None:
    budget = money.make_budget(acme, 100)
    override(budget, 200)
    times = {"starts_at": NOON + timedelta(minutes=starts) if starts else None, "ends_at": NOON + ends * HOUR / 60}
    with pytest.raises(Conflict, match="another override"):
        override(budget, 300, **times)


def test_one_may_follow_another_and_one_that_was_ended_makes_room(session: Connection, acme: Organization) -> None:
    budget = money.make_budget(acme, 100)
    first = override(budget, 200)
    override(budget, 300, starts_at=NOON + HOUR, ends_at=NOON + 2 * HOUR)
    later = override(budget, 400, starts_at=NOON + 2 * HOUR, ends_at=NOON + 3 * HOUR)
    for given in (first, later):
        overriding.end_override(given.id, organization=acme, acting="ann@example.com")
    override(budget, 500)
    override(budget, 600, starts_at=NOON + 2 * HOUR, ends_at=NOON + 3 * HOUR)
    override(money.make_budget(acme, 100, period_kind="day"), 700)
    assert BudgetOverride.objects.count() == 6


@pytest.mark.parametrize(
    ("amount", "fields"),
    [
        (-1, {}),
        (MAX_CAP_NANOS + 1, {}),
        (1, {"reason": "  "}),
        (1, {"reason": "a" * 501}),
        (1, {"ends_at": NOON}),
        (1, {"starts_at": NOON - HOUR}),
        (1, {"starts_at": NOON + 2 * HOUR}),
        (1, {"ends_at": NOON.replace(year=2040, tzinfo=None)}),
    ],
)
def test_an_override_that_cannot_be_is_refused(
    session: Connection, acme: Organization, amount: int, fields: dict[str, Any]
) -> None:
    budget = money.make_budget(acme, 100)
    with pytest.raises(Invalid):
        override(budget, amount, **fields)
    assert not BudgetOverride.objects.exists()


def test_an_archived_budget_takes_no_override(session: Connection, acme: Organization) -> None:
    budget = money.make_budget(acme, 100)
    capping.archive_cap(budget.id, organization=acme, acting="ann@example.com")
    with pytest.raises(Invalid, match="archived"):
        override(budget, 200)


def test_another_organizations_budget_and_override_are_not_found(session: Connection, acme: Organization) -> None:
    other = money.make_organization("other")
    budget = money.make_budget(other, 100)
    given = override(budget, 200)
    with pytest.raises(NotFound):
        overriding.override_cap(
            budget.id, organization=acme, amount=1, ends_at=NOON + HOUR, acting="ann@example.com", reason="mine"
        )
    for id in (given.id, uuid4()):
        with pytest.raises(NotFound):
            overriding.end_override(id, organization=acme, acting="ann@example.com")
