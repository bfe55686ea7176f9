from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.budgets.periods import PeriodWindow, window

ZONES = sorted(available_timezones() - {"localtime"})
KINDS = ("day", "week", "month", "year")
SHORT_KINDS = ("minute", "hour")
MOMENT = timedelta(microseconds=1)
instants = st.integers(-90 * 365 * 86_400, 230 * 365 * 86_400).map(lambda second: datetime.fromtimestamp(second, UTC))


def a_window(kind: str, at: datetime, zone: str, week_starts_on: int = 0, year_starts: int = 1) -> PeriodWindow:
    return window(
        period_kind=kind,
        at=at,
        zone=ZoneInfo(zone),
        week_starts_on=week_starts_on,
        fiscal_year_starts_month=year_starts,
    )


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


@settings(max_examples=500, deadline=None)
@given(
    at=instants, zone=st.sampled_from(ZONES), kind=st.sampled_from(KINDS), week_starts_on=st.integers(0, 6),
    year_starts=st.integers(1, 12),
)  # fmt: skip
@example(at=utc(2025, 11, 2, 4), zone="America/Havana", kind="day", week_starts_on=0, year_starts=1)
@example(at=utc(2011, 12, 30, 10), zone="Pacific/Apia", kind="day", week_starts_on=0, year_starts=1)
@example(at=utc(1919, 3, 31, 4, 40), zone="America/Toronto", kind="day", week_starts_on=0, year_starts=1)
@example(at=utc(2006, 10, 29, 2, 31), zone="America/St_Johns", kind="month", week_starts_on=0, year_starts=1)
def test_windows_tile_time_and_every_instant_of_one_has_its_label(
    at: datetime, zone: str, kind: str, week_starts_on: int, year_starts: int
) -> None:
    here = a_window(kind, at, zone, week_starts_on, year_starts)
    after = a_window(kind, here.ends_at, zone, week_starts_on, year_starts)
    before = a_window(kind, here.starts_at - MOMENT, zone, week_starts_on, year_starts)
    assert here.starts_at <= at < here.ends_at
    assert (before.ends_at, after.starts_at) == (here.starts_at, here.ends_at)
    assert before.label < here.label < after.label
    assert a_window(kind, here.starts_at, zone, week_starts_on, year_starts) == here
    assert a_window(kind, here.ends_at - MOMENT, zone, week_starts_on, year_starts) == here


@settings(max_examples=500, deadline=None)
@given(at=instants, zone=st.sampled_from(ZONES), kind=st.sampled_from(SHORT_KINDS))
@example(at=utc(2025, 11, 2, 5, 59), zone="America/New_York", kind="hour")
@example(at=utc(2025, 4, 5, 15, 10), zone="Australia/Lord_Howe", kind="hour")
@example(at=utc(2006, 10, 29, 2, 31), zone="America/St_Johns", kind="hour")
def test_minutes_and_hours_tile_time_too(at: datetime, zone: str, kind: str) -> None:
    here = a_window(kind, at, zone)
    after = a_window(kind, here.ends_at, zone)
    before = a_window(kind, here.starts_at - MOMENT, zone)
    assert here.starts_at <= at < here.ends_at
    assert here.ends_at - here.starts_at <= timedelta(hours=1)
    assert (before.ends_at, after.starts_at) == (here.starts_at, here.ends_at)
    assert len({before.label, here.label, after.label}) == 3
    assert a_window(kind, here.starts_at, zone) == here
    assert a_window(kind, here.ends_at - MOMENT, zone) == here


@pytest.mark.parametrize("zone", ZONES)
def test_the_days_of_a_year_follow_each_other_in_every_zone(zone: str) -> None:
    at, labels = utc(2025, 1, 1), set()
    while at < utc(2026, 1, 1):
        day = a_window("day", at, zone)
        assert day.starts_at <= at
        assert day.label not in labels
        labels.add(day.label)
        at = day.ends_at


@pytest.mark.parametrize(
    ("zone", "at", "label", "starts_at", "ends_at"),
    [
        ("America/Havana", utc(2025, 11, 2, 12), "D2025-11-02", utc(2025, 11, 2, 4), utc(2025, 11, 3, 5)),
        ("Asia/Beirut", utc(2025, 3, 30, 12), "D2025-03-30", utc(2025, 3, 29, 22), utc(2025, 3, 30, 21)),
        ("America/Santiago", utc(2025, 9, 7, 12), "D2025-09-07", utc(2025, 9, 7, 4), utc(2025, 9, 8, 3)),
        ("Africa/Cairo", utc(2025, 4, 25, 12), "D2025-04-25", utc(2025, 4, 24, 22), utc(2025, 4, 25, 21)),
        ("Pacific/Apia", utc(2011, 12, 30, 9), "D2011-12-29", utc(2011, 12, 29, 10), utc(2011, 12, 30, 10)),
        ("Pacific/Apia", utc(2011, 12, 30, 10), "D2011-12-31", utc(2011, 12, 30, 10), utc(2011, 12, 31, 10)),
    ],
)
def test_a_day_begins_at_the_first_instant_of_its_date(
    zone: str, at: datetime, label: str, starts_at: datetime, ends_at: datetime
) -> None:
    assert a_window("day", at, zone) == PeriodWindow(label, starts_at, ends_at)


@pytest.mark.parametrize(
    ("at", "label"),
    [
        (utc(2025, 11, 2, 5, 30), "H2025-11-02T01:00-04:00"),
        (utc(2025, 11, 2, 6, 30), "H2025-11-02T01:00-05:00"),
        (utc(2025, 3, 9, 6, 59), "H2025-03-09T01:00-05:00"),
        (utc(2025, 3, 9, 7), "H2025-03-09T03:00-04:00"),
    ],
)
def test_an_hour_that_clocks_repeat_comes_twice_and_one_that_they_skip_never(at: datetime, label: str) -> None:
    hour = a_window("hour", at, "America/New_York")
    assert (hour.label, hour.ends_at - hour.starts_at) == (label, timedelta(hours=1))


def test_an_hour_is_of_the_zone_and_a_minute_of_everywhere() -> None:
    at = utc(2025, 6, 1, 12, 40, 59)
    assert a_window("hour", at, "Asia/Kolkata") == PeriodWindow(
        "H2025-06-01T18:00+05:30", utc(2025, 6, 1, 12, 30), utc(2025, 6, 1, 13, 30)
    )
    minute = PeriodWindow("I2025-06-01T12:40Z", utc(2025, 6, 1, 12, 40), utc(2025, 6, 1, 12, 41))
    assert a_window("minute", at, "Asia/Kolkata") == minute


@pytest.mark.parametrize(
    ("at", "label", "first"),
    [
        (utc(2025, 3, 31), "Y2024-04", utc(2024, 4, 1)),
        (utc(2025, 4, 1), "Y2025-04", utc(2025, 4, 1)),
        (utc(2026, 1, 1), "Y2025-04", utc(2025, 4, 1)),
    ],
)
def test_a_fiscal_year_begins_in_its_month(at: datetime, label: str, first: datetime) -> None:
    year = a_window("year", at, "UTC", year_starts=4)
    assert year == PeriodWindow(label, first, first.replace(year=first.year + 1))


def test_an_evening_that_clocks_repeat_belongs_to_the_day_that_has_begun() -> None:
    # St. John's put its clocks back at 00:01, to 23:01 of the day before: 03:00 UTC is 23:30 for the second time.
    day = a_window("day", utc(2006, 10, 29, 3), "America/St_Johns")
    assert day == PeriodWindow("D2006-10-29", utc(2006, 10, 29, 2, 30), utc(2006, 10, 30, 3, 30))


@pytest.mark.parametrize(
    ("week_starts_on", "starts_at"), [(0, utc(2025, 10, 27)), (6, utc(2025, 10, 26)), (4, utc(2025, 10, 24))]
)
def test_a_week_is_named_by_its_thursday(week_starts_on: int, starts_at: datetime) -> None:
    week = a_window("week", utc(2025, 10, 30), "UTC", week_starts_on)
    assert week == PeriodWindow("W2025-W44", starts_at, starts_at + timedelta(days=7))


def test_month_year_total_and_fixed_windows() -> None:
    at = utc(2025, 11, 30, 23, 30)
    assert a_window("month", at, "Europe/Berlin").label == "M2025-12"
    assert a_window("year", at, "Europe/Berlin") == PeriodWindow("Y2025", utc(2024, 12, 31, 23), utc(2025, 12, 31, 23))
    assert a_window("total", at, "Europe/Berlin") == PeriodWindow("T", utc(1970, 1, 1), utc(9999, 1, 1))
    fixed = window(
        period_kind="fixed", at=at, zone=ZoneInfo("UTC"), fixed_starts_at=utc(2025, 1, 1), fixed_ends_at=utc(2025, 2, 1)
    )
    assert fixed == PeriodWindow("F", utc(2025, 1, 1), utc(2025, 2, 1))


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="kind of period"):
        a_window("fortnight", utc(2025, 1, 1), "UTC")
