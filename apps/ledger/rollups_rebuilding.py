"""Rollups from the ledger anew, beside live traffic and with the result that counting each entry has.

Nothing is locked against the relays and nothing is emptied. One statement, so one moment, compares what the entries say
with what the rows say, and adds the difference. Entries whose message is still to be delivered are left out: a relay
counts them later. It commits the acknowledgement and the sums together, so that moment shows both or neither; and what
it adds after that moment stays, because sums are added to and never set. So a rebuild is a proof, too: where nothing
was wrong, it changes nothing.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from django.db import connection, transaction

from apps.audit.recording import record
from apps.ledger import rollups_statements as statements
from apps.ledger.rollups import CONSUMER, TOPIC, Reported
from apps.ledger.rollups_ranges import Part, oldest_kept, parts
from apps.ledger.rollups_statements import Grain
from apps.orgs.models import Organization
from spendra.kernel.errors import Conflict

# What was reserved in a window was booked after its beginning (an hour for a clock put back) and any time later.
_ENTRIES = f"""
    SELECT * FROM ledger_ledgerentry
    WHERE organization_id = %(organization)s AND booked_at >= %(since)s::timestamptz - interval '1 hour'
      AND occurred_at >= %(since)s::timestamptz AND occurred_at < %(until)s::timestamptz
      AND id NOT IN (SELECT outbox_undelivered_v1('{CONSUMER}', '{TOPIC}', %(organization)s))
"""
_PERIODS = f"""
    SELECT DISTINCT unnest(period_ids) FROM ({_ENTRIES}) e
    UNION SELECT period_id FROM ledger_periodrollup WHERE organization_id = %(organization)s AND %(is_whole)s
"""
_HOURS_STORED = "organization_id = %(organization)s AND hour >= %(since)s AND hour < %(until)s"
_DAYS_STORED = "organization_id = %(organization)s AND day = ANY (%(days)s::date[])"
_DAYS_COUNTED = "local.day = ANY (%(days)s::date[])"
_PERIODS_STORED = "organization_id = %(organization)s AND period_id = ANY (%(all)s::bigint[])"


def rebuild(
    organization: Organization,
    *,
    reported: Reported,
    acting: str,
    since: date | None = None,
    until: date | None = None,
) -> dict[str, int]:
    """Makes the rollups of these local dates (inclusive; None: as far as there are any), and the whole of every period
    that they touch, what the entries say; returns how many rows of each table had been wrong.

    Sums of months that retention has archived stay as they are; raises Conflict where it archives one meanwhile.
    Several transactions of its own; one rebuild of an organization at a time, the others wait. Writes an audit record
    where anything had been wrong.
    """
    wrong: Counter[str] = Counter()
    oldest = oldest_kept()
    found = parts(organization, since=since, until=until, oldest=oldest)
    try:
        for part in found:
            wrong += _recount_days(organization, part, oldest)
        if found:
            starts_at, ends_at = min(part.starts_at for part in found), max(part.ends_at for part in found)
            is_whole = since is None and until is None
            wrong += _recount_periods(organization, reported, starts_at, ends_at, is_whole, oldest)
    finally:
        if wrong:
            _record(organization, found, wrong, acting)
    return dict(wrong)


def _recount_days(organization: Organization, part: Part, oldest: datetime) -> Counter[str]:
    hours = {"organization": organization.id, "since": part.first_hour, "until": part.last_hour}
    days = {
        "organization": organization.id,
        "since": part.starts_at,
        "until": part.ends_at,
        "days": list(part.days),
    }
    wrong = Counter({statements.HOUR.table: _recount(statements.HOUR, _HOURS_STORED, hours, oldest)})
    for grain in (statements.DAY, statements.KEY):
        wrong[grain.table] = _recount(grain, _DAYS_STORED, days, oldest, where=_DAYS_COUNTED)
    return +wrong


def _recount_periods(
    organization: Organization,
    reported: Reported,
    starts_at: datetime,
    ends_at: datetime,
    is_whole: bool,
    oldest: datetime,
) -> Counter[str]:
    window = {"organization": organization.id, "since": starts_at, "until": ends_at, "is_whole": is_whole}
    named = [period for (period,) in _rows(_PERIODS, window)]
    starts = reported(named)
    # Of an older period, entries may have been dropped: its sums can't be had from the ledger any more.
    is_kept = {id: start >= oldest or organization.created_at >= oldest for id, start in starts.items()}
    parameters = {
        "organization": organization.id,
        "since": "-infinity",
        "until": "infinity",
        "all": [id for id in named if is_kept.get(id, True)],
        "counted": [id for id in starts if is_kept[id]],
    }
    where = "period.id = ANY (%(counted)s::bigint[])"
    return +Counter(
        {statements.PERIOD.table: _recount(statements.PERIOD, _PERIODS_STORED, parameters, oldest, where=where)}
    )


@transaction.atomic(durable=True)
def _recount(grain: Grain, stored: str, parameters: dict[str, Any], oldest: datetime, *, where: str = "true") -> int:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'")
        # Two rebuilds would both add the same difference. Taken before the statement that looks.
        lock = f"ledger rollups of {parameters['organization']}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [lock])
        cursor.execute(statements.recount(grain, entries=_ENTRIES, stored=stored, where=where), parameters)
        wrong: int = cursor.rowcount
        cursor.execute(statements.forget_empty(grain, stored=stored), parameters)
    # A month is archived before its entries go: whoever counted without them sees it now, and takes it back.
    if oldest_kept() != oldest:
        raise Conflict("Retention has archived a month meanwhile: run this again.")
    return wrong


def _rows(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


@transaction.atomic
def _record(organization: Organization, found: Sequence[Part], wrong: Counter[str], acting: str) -> None:
    record(
        organization_id=organization.id,
        actor=acting,
        action="ledger.rebuild_rollups",
        object_kind="organization",
        object_id=organization.id,
        after={"since": found[0].days[0], "until": found[-1].days[-1], "rows_that_were_wrong": dict(wrong)},
    )
