from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection

from apps.orgs.models import Organization
from spendra.kernel.days import DAY, day_of, first_instant

# Between the spans that are there: what was a day stays one, whatever the zone is now.
_OPEN = """
    INSERT INTO ledger_localday (organization_id, starts_at, ends_at, day)
    SELECT %(organization)s,
           greatest(%(starts_at)s, (SELECT max(ends_at) FROM ledger_localday
                                    WHERE organization_id = %(organization)s AND ends_at <= %(at)s)),
           least(%(ends_at)s, (SELECT min(starts_at) FROM ledger_localday
                               WHERE organization_id = %(organization)s AND starts_at > %(at)s)), %(day)s
    WHERE NOT EXISTS (SELECT FROM ledger_localday
                      WHERE organization_id = %(organization)s AND starts_at <= %(at)s AND ends_at > %(at)s)
"""


def open_day(organization_id: UUID, *, at: datetime) -> None:
    """Afterwards a local day of the organization holds the instant `at`, and it is the same one for everybody.

    In the caller's transaction; takes a lock of the organization's days, since two spans must not overlap.
    """
    zone = ZoneInfo(Organization.objects.values_list("time_zone", flat=True).get(id=organization_id))
    day = day_of(at, zone)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [f"ledger days of {organization_id}"])
        # A statement of its own: it must see what the one before us in the lock has opened.
        cursor.execute(
            _OPEN,
            {
                "organization": organization_id,
                "at": at,
                "day": day,
                "starts_at": first_instant(day, zone),
                "ends_at": first_instant(day + DAY, zone),
            },
        )
