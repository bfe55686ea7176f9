"""What the entries of a month amount to, by period, written down before they go."""

from collections import defaultdict
from datetime import date
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from apps.audit.recording import record
from apps.budgets import verifying_sql as proof
from apps.ledger import retention as ledger
from apps.ledger.retention import Sums
from spendra.kernel.errors import Conflict

_ROWS = 25_000
_WHOLE_MONTH = 0  # No period has this id.
_NIL = UUID(int=0)

# As ledger_verify counts them. Short periods may be gone, and their number has no bound.
_SUMS = """
    WITH chunk AS MATERIALIZED (
        SELECT * FROM ledger_ledgerentry
        WHERE organization_id = %(organization)s
          AND booked_at >= %(first)s::timestamptz AND booked_at < %(last)s::timestamptz)
    SELECT p, count(*), sum(amount_nanos), sum(tokens),
           count(*) FILTER (WHERE kind = 'charge') - count(*) FILTER (WHERE cause = 'late_void')
    FROM chunk, LATERAL (SELECT 0 AS p UNION ALL SELECT unnest(period_ids)) named
    WHERE p < budgets_first_short_id_v1() OR EXISTS (SELECT FROM budgets_period WHERE id = p)
    GROUP BY p
"""
_UNPROVED = """
    SELECT EXISTS (
        SELECT FROM orgs_organization o
        LEFT JOIN budgets_verifiedposition v ON v.walk = 'sums' AND v.organization_id = o.id,
        LATERAL (SELECT FROM ledger_ledgerentry WHERE organization_id = o.id AND booked_at < %(until)s
                 AND booked_at >= greatest(%(first)s, v.position::timestamptz) LIMIT 1) e)
"""
_ARCHIVE = """
    INSERT INTO budgets_periodarchive (period_id, month, nanos, tokens, requests, entries)
    SELECT period_id, %s, nanos, tokens, requests, entries
    FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[], %s::bigint[], %s::bigint[])
        AS sums (period_id, nanos, tokens, requests, entries)
"""
# ledger_verify keeps the sums of what is not archived.
_FORGET = """
    UPDATE budgets_verifiedsum kept
    SET nanos = kept.nanos - a.nanos, tokens = kept.tokens - a.tokens, requests = kept.requests - a.requests
    FROM budgets_periodarchive a WHERE a.month = %s AND a.period_id = kept.period_id
"""


def archive(month: date, *, acting: str) -> Sums:
    """Sums the month in short chunks (its entries never change), then books it in one short transaction: from its
    commit on, ledger_verify takes the archive instead of the entries.

    ledger_verify must have summed the month up before: raises Conflict where it has not. Keeps its runs waiting for
    the length of that transaction; takes no lock that reserve or settle need. Writes an audit record.
    """
    sums = _sums(month)
    whole = sums.pop(_WHOLE_MONTH, Sums())
    _book(month, whole, sums, acting)
    return whole


@transaction.atomic(durable=True)
def _book(month: date, whole: Sums, sums: dict[int, Sums], acting: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '5s'")
        cursor.execute("LOCK TABLE budgets_verifiedposition IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(_UNPROVED, _bounds(month))
        if cursor.fetchone()[0]:
            raise Conflict(f"What ledger_verify had proved of {month:%Y-%m} was forgotten meanwhile: run this again.")
        each = sums.values()
        columns = [
            [s.nanos for s in each],
            [s.tokens for s in each],
            [s.requests for s in each],
            [s.entries for s in each],
        ]
        cursor.execute(_ARCHIVE, [month, list(sums), *columns])
        cursor.execute(_FORGET, [month])
    ledger.book_month(month, whole)
    _record(month, whole, len(sums), acting)


def _record(month: date, whole: Sums, periods: int, acting: str) -> None:
    record(
        organization_id=None,
        actor=acting,
        action="budgets.archive_month",
        object_kind="month",
        object_id=f"{month:%Y-%m}",
        after={
            "entries": whole.entries,
            "nanos": str(whole.nanos),
            "tokens": whole.tokens,
            "requests": whole.requests,
            "periods": periods,
        },
    )


def _sums(month: date) -> dict[int, Sums]:
    found: dict[int, Sums] = defaultdict(Sums)
    organization = _NIL
    while following := _rows(proof.NEXT_ORGANIZATION, {"first": organization}):
        organization = following[0][0]
        for period, *sums in _sums_of(organization, month):
            found[period] += Sums(*map(int, sums))
    return dict(found)


def _sums_of(organization: UUID, month: date) -> list[tuple[Any, ...]]:
    found = []
    chunk = {**_bounds(month), "organization": organization, "size": _ROWS, "booked_before": "infinity"}
    while ended := _rows(proof.ENTRY_CHUNK, chunk):
        chunk["last"] = ended[0][0]
        found += _rows(_SUMS, chunk)
        chunk["first"] = chunk["last"]
    return found


def _bounds(month: date) -> dict[str, Any]:
    return {"first": ledger.starts_at(month), "until": ledger.starts_at(ledger.following(month))}


def _rows(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(proof.SETTINGS)
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
