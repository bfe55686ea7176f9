"""What the entries of a month amount to, by period, written down before they go."""

from datetime import date
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.audit.recording import record
from apps.budgets import verifying_sql as proof
from apps.ledger import retention as ledger
from apps.ledger.retention import Sums
from spendra.kernel.errors import Conflict

_ROWS = 25_000
_NIL = UUID(int=0)

# Locked, since the server may still run a chunk whose client was killed.
_LOCK_POSITION = """
    INSERT INTO budgets_archivingposition VALUES (%(organization)s, %(first)s)
    ON CONFLICT (organization_id) DO UPDATE SET position = budgets_archivingposition.position RETURNING position
"""
# As ledger_verify counts them. Short periods may be gone, and their number has no bound. Period 0 is the whole month.
_ADD = """
    INSERT INTO budgets_archivingsum AS known (period_id, entries, nanos, tokens, requests)
    SELECT p, count(*), sum(amount_nanos), sum(tokens),
           count(*) FILTER (WHERE kind = 'charge') - count(*) FILTER (WHERE cause = 'late_void')
    FROM ledger_ledgerentry, unnest(period_ids || 0::bigint) p
    WHERE organization_id = %(organization)s
      AND booked_at >= %(first)s::timestamptz AND booked_at < %(last)s::timestamptz
      AND (p < budgets_first_short_id_v1() OR EXISTS (SELECT FROM budgets_period WHERE id = p))
    GROUP BY p
    ON CONFLICT (period_id) DO UPDATE SET
        entries = known.entries + EXCLUDED.entries, nanos = known.nanos + EXCLUDED.nanos,
        tokens = known.tokens + EXCLUDED.tokens, requests = known.requests + EXCLUDED.requests
"""
_MOVE = "UPDATE budgets_archivingposition SET position = %(last)s::timestamptz WHERE organization_id = %(organization)s"
_UNPROVED = """
    SELECT EXISTS (
        SELECT FROM orgs_organization o
        LEFT JOIN budgets_verifiedposition v ON v.walk = 'sums' AND v.organization_id = o.id,
        LATERAL (SELECT FROM ledger_ledgerentry WHERE organization_id = o.id AND booked_at < %(until)s
                 AND booked_at >= greatest(%(first)s, v.position::timestamptz) LIMIT 1) e)
"""
_WHOLE = "SELECT entries, nanos, tokens, requests FROM budgets_archivingsum WHERE period_id = 0"
_ARCHIVE = """
    INSERT INTO budgets_periodarchive (period_id, month, nanos, tokens, requests, entries)
    SELECT period_id, %s, nanos, tokens, requests, entries FROM budgets_archivingsum WHERE period_id > 0
"""
# ledger_verify keeps the sums of what is not archived.
_FORGET = """
    UPDATE budgets_verifiedsum kept
    SET nanos = kept.nanos - a.nanos, tokens = kept.tokens - a.tokens, requests = kept.requests - a.requests
    FROM budgets_archivingsum a WHERE a.period_id = kept.period_id
"""


def archive(month: date, *, acting: str) -> Sums:
    """Sums the month in short chunks, going on where an earlier run was interrupted (its entries never change), then
    books it in one short transaction: from its commit on, ledger_verify takes the archive instead of the entries.

    For one caller at a time. ledger_verify must have summed the month up before: raises Conflict where it has not.
    Keeps its runs waiting for the length of that transaction; takes no lock that reserve or settle need. Writes an
    audit record.
    """
    organization = _NIL
    while following := _next_organization(organization):
        organization = following[0]
        while _add_chunk(organization, month):
            pass
    return _book(month, acting)


@transaction.atomic(durable=True)
def _next_organization(organization: UUID) -> tuple[UUID] | None:
    with connection.cursor() as cursor:
        cursor.execute(proof.SETTINGS)
        cursor.execute(proof.NEXT_ORGANIZATION, {"first": organization})
        following: tuple[UUID] | None = cursor.fetchone()
    return following


@transaction.atomic(durable=True)
def _add_chunk(organization: UUID, month: date) -> bool:
    """False where the month has no more of the organization's entries."""
    chunk = {**_bounds(month), "organization": organization, "size": _ROWS, "booked_before": "infinity"}
    with connection.cursor() as cursor:
        cursor.execute(proof.SETTINGS)
        cursor.execute(_LOCK_POSITION, chunk)
        chunk["first"] = cursor.fetchone()[0]
        cursor.execute(proof.ENTRY_CHUNK, chunk)
        if (ended := cursor.fetchone()) is None:
            return False
        chunk["last"] = ended[0]
        cursor.execute(_ADD, chunk)
        cursor.execute(_MOVE, chunk)
    return True


@transaction.atomic(durable=True)
def _book(month: date, acting: str) -> Sums:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '5s'")
        cursor.execute("LOCK TABLE budgets_verifiedposition IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(_UNPROVED, _bounds(month))
        if cursor.fetchone()[0]:
            raise Conflict(f"What ledger_verify had proved of {month:%Y-%m} was forgotten meanwhile: run this again.")
        cursor.execute(_WHOLE)
        whole = Sums(*map(int, cursor.fetchone() or ()))
        periods = _move_to_archive(cursor, month)
    ledger.book_month(month, whole)
    _record(month, whole, periods, acting)
    return whole


def _move_to_archive(cursor: CursorWrapper, month: date) -> int:
    cursor.execute(_ARCHIVE, [month])
    periods: int = cursor.rowcount
    cursor.execute(_FORGET)
    cursor.execute("DELETE FROM budgets_archivingsum")
    cursor.execute("DELETE FROM budgets_archivingposition")
    return periods


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


def _bounds(month: date) -> dict[str, Any]:
    return {"first": ledger.starts_at(month), "until": ledger.starts_at(ledger.following(month))}
