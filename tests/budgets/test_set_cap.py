from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.audit.models import AuditRecord
from apps.budgets import capping, seeding
from apps.budgets.models import Budget, Period
from apps.orgs.models import Organization
from spendra.kernel.errors import Invalid, NotFound
from spendra.kernel.money import MAX_CAP_NANOS
from tests.budgets import money
from tests.databases import Database


def cap(organization: Organization, amount: int = 500, **fields: Any) -> Budget:
    return capping.set_cap(
        organization=organization, amount=amount, acting="ann@example.com", **{"period_kind": "total", **fields}
    )


def test_setting_a_cap_again_changes_the_one_budget_of_that_scope(acme: Organization) -> None:
    first = cap(acme)
    second = cap(acme, 700)
    assert first.id == second.id
    assert Budget.objects.get().amount == 700


@pytest.mark.parametrize(
    "fields",
    [
        {"period_kind": "day"},
        {"hardness": "soft"},
        {"measure": "requests"},
        {"applies_to_each": "employee"},
        {
            "period_kind": "fixed",
            "fixed_starts_at": datetime(2025, 1, 1, tzinfo=UTC),
            "fixed_ends_at": datetime(2025, 2, 1, tzinfo=UTC),
        },
    ],
)
def test_another_period_hardness_measure_or_range_is_another_budget(acme: Organization, fields: dict[str, Any]) -> None:
    cap(acme)
    cap(acme, **fields)
    assert Budget.objects.count() == 2


def test_a_cap_of_a_unit_stands_beside_that_of_the_organization(acme: Organization) -> None:
    unit = money.make_unit(acme)
    cap(acme)
    assert cap(acme, unit=unit).unit == unit
    assert Budget.objects.count() == 2


def test_a_changed_cap_binds_the_next_reserve_and_touches_no_period(acme: Organization, database: Database) -> None:
    connection = database.connect()
    cap(acme, 100)
    period = Period.objects.get()
    before = money.tokens_of(connection, acme)
    cap(acme, 99)
    after = money.tokens_of(connection, acme)
    assert money.verdict(connection, money.a_request(acme, before, [period.id])) == "stale"
    assert money.verdict(connection, money.a_request(acme, after, [period.id])) == "exceeded"
    assert money.verdict(connection, money.a_request(acme, after, [period.id], nanos=99)) == "granted"


def test_a_new_cap_counts_what_its_window_has_seen_and_what_is_under_way(
    acme: Organization, database: Database
) -> None:
    connection = database.connect()
    money.beat(connection)
    tokens = money.tokens_of(connection, acme)
    spent, running, freed = (money.a_request(acme, tokens, []) for _ in range(3))
    assert [answer["verdict"] for answer in money.reserve(connection, spent, running, freed)] == ["granted"] * 3
    money.end(connection, money.an_ending(spent, cost=60), money.an_ending(freed, "void"))
    cap(acme, 500)
    period = Period.objects.get()
    assert (period.is_seeding, period.seeded, period.settled, period.reserved) == (False, 60, 60, 100)
    money.end(connection, money.an_ending(running, cost=90))
    assert money.counters(connection, period.id) == (150, 0)


@pytest.mark.parametrize(("measure", "settled", "reserved"), [("requests", 1, 1), ("tokens", 6, 10)])
def test_caps_of_requests_and_tokens_count_history_in_their_own_measure(
    acme: Organization, database: Database, measure: str, settled: int, reserved: int
) -> None:
    connection = database.connect()
    money.beat(connection)
    unit = money.make_unit(acme)
    scopes = [str(unit.id), str(acme.id)]
    tokens = money.tokens_of(connection, acme)
    mine, running = (money.a_request(acme, tokens, [], scope_ids=scopes) for _ in range(2))
    other = money.a_request(acme, tokens, [])
    money.reserve(connection, mine, running, other)
    money.end(connection, money.an_ending(mine), money.an_ending(other))
    cap(acme, 500, unit=unit, measure=measure)
    period = Period.objects.get()
    assert (period.settled, period.reserved) == (settled, reserved)


def test_a_cap_from_now_on_leaves_history_out(acme: Organization, database: Database) -> None:
    connection = database.connect()
    money.beat(connection)
    request = money.a_request(acme, money.tokens_of(connection, acme), [])
    money.reserve(connection, request)
    money.end(connection, money.an_ending(request))
    cap(acme, counts_from_now=True)
    assert Period.objects.get().settled == 0


def test_a_period_that_is_seeding_answers_in_flight_and_is_filled_by_whoever_finds_it(
    acme: Organization, database: Database
) -> None:
    connection = database.connect()
    budget = money.make_budget(acme, 500, counts_from_now=False)
    period = money.open_period(connection, budget)
    request = money.a_request(acme, money.tokens_of(connection, acme), [period])
    [answer] = money.reserve(connection, request)
    assert (answer["verdict"], answer["seeding"]) == ("in_flight", True)
    assert seeding.seed_waiting() == 1
    assert seeding.seed_waiting() == 0
    assert money.verdict(connection, request) == "granted"


def test_an_each_budget_opens_no_period_before_its_first_use(acme: Organization) -> None:
    cap(acme, applies_to_each="employee")
    assert not Period.objects.exists()


def test_a_range_to_come_opens_no_period_yet(acme: Organization) -> None:
    start = datetime.now(UTC) + timedelta(days=3)
    cap(acme, period_kind="fixed", fixed_starts_at=start, fixed_ends_at=start + timedelta(days=1))
    assert not Period.objects.exists()


def test_the_next_window_is_opened_in_the_hour_before(acme: Organization, database: Database) -> None:
    connection = database.connect()
    money.set_clock(connection, datetime(2031, 5, 31, 23, 30, tzinfo=UTC))
    cap(acme, period_kind="day")
    cap(acme, period_kind="month")
    cap(acme, period_kind="year")
    assert seeding.open_ahead() == 2
    assert seeding.open_ahead() == 2
    labels = set(Period.objects.values_list("label", flat=True))
    assert labels == {"D2031-05-31", "D2031-06-01", "M2031-05", "M2031-06", "Y2031"}


def test_an_archived_cap_no_longer_applies_and_a_new_one_starts_again(acme: Organization) -> None:
    budget = cap(acme)
    capping.archive_cap(budget.id, organization=acme, acting="ann@example.com")
    assert capping.archive_cap(budget.id, organization=acme, acting="ann@example.com").archived_at
    assert cap(acme).id != budget.id


def test_each_change_is_audited_once(acme: Organization) -> None:
    budget = cap(acme, 500, reason="start")
    cap(acme, 500)
    cap(acme, 600, reason="more")
    capping.archive_cap(budget.id, organization=acme, acting="ann@example.com", reason="over")
    rows = AuditRecord.objects.filter(object_id=str(budget.id)).order_by("id").values_list("action", "reason", "before")
    assert list(rows) == [
        ("budgets.set_cap", "start", None),
        ("budgets.change_cap", "more", {"amount": "500"}),
        ("budgets.archive_cap", "over", None),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": -1},
        {"amount": MAX_CAP_NANOS + 1},
        {"period_kind": "fortnight"},
        {"hardness": "firm"},
        {"measure": "dollars"},
        {"applies_to_each": "robot"},
        {"period_kind": "fixed"},
        {"fixed_starts_at": datetime(2025, 1, 1, tzinfo=UTC)},
    ],
)
def test_a_cap_that_cannot_be_is_refused(acme: Organization, fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        cap(acme, **fields)
    assert not Budget.objects.exists()


def test_a_cap_for_another_organizations_unit_is_not_found(acme: Organization) -> None:
    unit = money.make_unit(money.make_organization("other"))
    with pytest.raises(NotFound):
        cap(acme, unit=unit)


def test_another_organizations_cap_is_not_found(acme: Organization) -> None:
    budget = cap(money.make_organization("other"))
    with pytest.raises(NotFound):
        capping.archive_cap(budget.id, organization=acme, acting="ann@example.com")
