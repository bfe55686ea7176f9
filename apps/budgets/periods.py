"""Where a budget's time windows begin and end. Pure, and the only place that computes bounds: Python and Postgres
disagree about midnight in some zones, so whoever opens a period stores these and everybody adopts them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from spendra.kernel.days import DAY, day_of, first_instant

BEGINNING_OF_TIME = datetime(1970, 1, 1, tzinfo=UTC)
END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
THURSDAY = 3

_LOCK_RANKS = {
    "employee": 10, "agent": 10, "subagent": 10, "automation": 10, "project": 20, "team": 30, "branch": 40,
}  # fmt: skip
_ORGANIZATION_RANK = 90


@dataclass(frozen=True, slots=True)
class PeriodWindow:
    label: str
    starts_at: datetime
    ends_at: datetime


def window(
    *,
    period_kind: str,
    at: datetime,
    zone: ZoneInfo,
    week_starts_on: int = 0,
    fiscal_year_starts_month: int = 1,
    fixed_starts_at: datetime | None = None,
    fixed_ends_at: datetime | None = None,
) -> PeriodWindow:
    """The window of that kind which holds the instant `at`, in UTC; a fixed one is the same whatever the instant.

    Windows of one kind tile time without gap or overlap, and each label names one of them.
    """
    if period_kind == "total":
        return PeriodWindow("T", BEGINNING_OF_TIME, END_OF_TIME)
    if period_kind == "fixed":
        if fixed_starts_at is None or fixed_ends_at is None:
            raise ValueError("a fixed period needs both its bounds")
        return PeriodWindow("F", fixed_starts_at.astimezone(UTC), fixed_ends_at.astimezone(UTC))
    if period_kind == "minute":
        start = at.astimezone(UTC).replace(second=0, microsecond=0)
        return PeriodWindow(f"I{start:%Y-%m-%dT%H:%M}Z", start, start + MINUTE)
    if period_kind == "hour":
        return _hour(at, zone)
    label, first, after = _span(period_kind, day_of(at, zone), week_starts_on, fiscal_year_starts_month)
    return PeriodWindow(label, first_instant(first, zone), first_instant(after, zone))


def lock_rank(kind: str | None) -> int:
    """The place of a unit's periods in the order of locks, None being the organization: actor first, organization last.

    Stored in periods and never renumbered.
    """
    return _ORGANIZATION_RANK if kind is None else _LOCK_RANKS[kind]


def _hour(at: datetime, zone: ZoneInfo) -> PeriodWindow:
    """Counted from the beginning of the local day, and named by the time on the clock with its distance from UTC: where
    clocks go back an hour comes twice. Where they shift by half an hour (Lord Howe), that day goes on at half past."""
    day = day_of(at, zone)
    begins, ends = first_instant(day, zone), first_instant(day + DAY, zone)
    start = begins + (at - begins) // HOUR * HOUR
    return PeriodWindow(f"H{start.astimezone(zone).isoformat(timespec='minutes')}", start, min(start + HOUR, ends))


def _span(period_kind: str, day: date, week_starts_on: int, fiscal_year_starts_month: int) -> tuple[str, date, date]:
    """Label, first date and the date after the last."""
    if period_kind == "day":
        return f"D{day}", day, day + DAY
    if period_kind == "week":
        first = day - timedelta(days=(day.weekday() - week_starts_on) % 7)
        # The week is named as ISO 8601 does it, by its Thursday, whichever day it starts on.
        year, number, _ = (first + timedelta(days=(THURSDAY - first.weekday()) % 7)).isocalendar()
        return f"W{year}-W{number:02d}", first, first + 7 * DAY
    if period_kind == "month":
        first = day.replace(day=1)
        return f"M{day:%Y-%m}", first, (first + 31 * DAY).replace(day=1)
    if period_kind == "year":
        month = fiscal_year_starts_month
        year = day.year if day.month >= month else day.year - 1
        label = f"Y{year}" if month == 1 else f"Y{year}-{month:02d}"
        return label, date(year, month, 1), date(year + 1, month, 1)
    raise ValueError(f"{period_kind!r} is not a kind of period")
