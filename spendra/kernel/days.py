"""Which local date an instant belongs to, and when that date begins. Computed here alone: Python and Postgres disagree
about midnight in some zones."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)


def first_instant(day: date, zone: ZoneInfo) -> datetime:
    """When a local date begins. A midnight that comes twice counts the first time; one that clocks skip is the instant
    at which they skip."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def day_of(at: datetime, zone: ZoneInfo) -> date:
    """The date that holds the instant. Not always the date on the clock: where clocks go back over midnight, the
    evening comes twice, and its second coming belongs to the day that has begun."""
    day = at.astimezone(zone).date() - DAY
    while first_instant(day + DAY, zone) <= at:
        day += DAY
    return day
