"""A new start of the fiscal year acts from the next window on; the one that runs keeps its bounds."""

from datetime import UTC, datetime

from apps.budgets import seeding
from apps.budgets.models import Budget, Period
from apps.orgs.models import Organization
from tests.budgets import money
from tests.databases import Database


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


def opened(at: datetime) -> Period:
    key = seeding.period_key(Budget.objects.select_related("organization").get(), at=at)
    [found] = seeding.open_periods([key])
    return Period.objects.get(id=found["id"])


def test_a_window_that_runs_keeps_its_bounds_and_the_next_one_begins_where_it_ends(database: Database) -> None:
    acme = money.make_organization()
    money.make_budget(acme, 100, period_kind="year")
    calendar = opened(utc(2031, 6, 1))
    assert (calendar.label, calendar.ends_at) == ("Y2031", utc(2032, 1, 1))
    Organization.objects.update(fiscal_year_starts_month=4)
    assert opened(utc(2031, 7, 1)).id == calendar.id
    between = opened(utc(2032, 2, 1))
    assert (between.label, between.starts_at, between.ends_at) == ("Y2031-04", utc(2032, 1, 1), utc(2032, 4, 1))
    fiscal = opened(utc(2032, 4, 1))
    assert (fiscal.label, fiscal.starts_at, fiscal.ends_at) == ("Y2032-04", utc(2032, 4, 1), utc(2033, 4, 1))


def test_a_year_that_starts_in_january_again_takes_its_labels_again(database: Database) -> None:
    acme = money.make_organization(fiscal_year_starts_month=10)
    money.make_budget(acme, 100, period_kind="year")
    assert opened(utc(2031, 1, 1)).label == "Y2030-10"
    Organization.objects.update(fiscal_year_starts_month=1)
    assert opened(utc(2031, 10, 1)).label == "Y2031"
    assert opened(utc(2032, 1, 1)).label == "Y2032"
