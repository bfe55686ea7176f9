"""Which days a rebuild goes over, and in which parts."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import connection, transaction

from apps.ledger.models import LocalDay
from apps.ledger.rollups_days import open_day
from apps.orgs.models import Organization
from spendra.kernel.days import DAY

_DAYS_AT_ONCE = 31
_HOUR = timedelta(hours=1)

_OLDEST_MONTH = """
    SELECT greatest(ledger_kept_since_v1(),
                    to_date(min(right(inhrelid::regclass::text, 7)), 'YYYY_MM')::timestamp AT TIME ZONE 'UTC')
    FROM pg_inherits WHERE inhparent = 'ledger_ledgerentry'::regclass
"""
_BOUNDS = """
    SELECT least((SELECT min(occurred_at) FROM ledger_ledgerentry WHERE organization_id = %(organization)s),
                 (SELECT min(hour) FROM ledger_hourrollup WHERE organization_id = %(organization)s),
                 (SELECT min(day) FROM ledger_dayrollup WHERE organization_id = %(organization)s),
                 (SELECT min(day) FROM ledger_keyrollup WHERE organization_id = %(organization)s)),
           greatest(spendra_now_v1(),
                 (SELECT max(hour) FROM ledger_hourrollup WHERE organization_id = %(organization)s),
                 (SELECT max(day) FROM ledger_dayrollup WHERE organization_id = %(organization)s),
                 (SELECT max(day) FROM ledger_keyrollup WHERE organization_id = %(organization)s))
"""


@dataclass(frozen=True, slots=True)
class Part:
    """Dates of an organization, and the instants between which they lie. Where it moved to a zone that is a day behind,
    dates come twice, and among those instants there may be some of another part's dates."""

    days: tuple[date, ...]
    starts_at: datetime
    ends_at: datetime

    @property
    def first_hour(self) -> datetime:
        return _whole_hour(self.starts_at)

    @property
    def last_hour(self) -> datetime:
        """The one after it: where a zone is half an hour off, a day ends within an hour."""
        return _whole_hour(self.ends_at + _HOUR - timedelta(microseconds=1))


def oldest_kept() -> datetime:
    """Everything that was reserved since then is in the ledger; of what came before, months may have been dropped."""
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST_MONTH)
        oldest: datetime = cursor.fetchone()[0]
    return oldest


def parts(organization: Organization, *, since: date | None, until: date | None, oldest: datetime) -> list[Part]:
    """The dates from `since` to `until`, both inclusive, as far as there can be sums and the ledger is whole, which it
    is since `oldest`; no part is longer than a month. Opens days that no entry had needed."""
    spans = [span for span in _spans(organization) if _is_wanted(span.day, since, until)]
    cut = {span.day for span in spans if span.starts_at < oldest}
    whole = [span for span in spans if span.day not in cut]
    if not whole:
        return []
    first, last = (pick(span.day for span in whole) for pick in (min, max))
    # Also dates that the organization skipped, moving the other way: no row may be there.
    days = [day for day in (first + DAY * n for n in range((last - first).days + 1)) if day not in cut]
    chunks = [frozenset(days[n : n + _DAYS_AT_ONCE]) for n in range(0, len(days), _DAYS_AT_ONCE)]
    return [_part(chunk, [span for span in whole if span.day in chunk]) for chunk in chunks]


def _is_wanted(day: date, since: date | None, until: date | None) -> bool:
    return (since is None or since <= day) and (until is None or day <= until)


def _part(days: Collection[date], spans: list[LocalDay]) -> Part:
    return Part(tuple(sorted(days)), min(span.starts_at for span in spans), max(span.ends_at for span in spans))


def _spans(organization: Organization) -> Iterator[LocalDay]:
    """Without gaps, from before the first sum or entry to after the last."""
    with connection.cursor() as cursor:
        cursor.execute(_BOUNDS, {"organization": organization.id})
        first, last = cursor.fetchone()
    if first is None:
        return
    # A date that begins before its own midnight in UTC: a day more on either side is in any zone.
    at, last = first - timedelta(days=1), last + timedelta(days=1)
    while at <= last:
        span = _span(organization, at)
        yield span
        at = span.ends_at


def _span(organization: Organization, at: datetime) -> LocalDay:
    spans = LocalDay.objects.filter(organization_id=organization.id, starts_at__lte=at, ends_at__gt=at)
    if (span := spans.first()) is None:
        with transaction.atomic():
            open_day(organization.id, at=at)
        span = spans.get()
    return span


def _whole_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
