"""Months of the ledger: which lie there, which are archived, and what keeps one from being archived."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection

from apps.ledger.rollups import TOPIC
from apps.outbox.models import Delivery, OutboxMessage

TABLES = ("ledger_spendevent", "ledger_ledgerentry")


@dataclass(frozen=True, slots=True)
class Sums:
    entries: int = 0
    nanos: int = 0
    tokens: int = 0
    requests: int = 0


def starts_at(month: date) -> datetime:
    return datetime(month.year, month.month, 1, tzinfo=UTC)


def following(month: date) -> date:
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)


def kept_since() -> datetime:
    """Everything booked since then is in the ledger; 1970 where nothing was archived."""
    since: datetime = _rows("SELECT ledger_kept_since_v1()")[0][0]
    return since


def kept_since_as_of(at: datetime) -> datetime | None:
    """The same as it was then; None where nothing had been archived."""
    month = _rows("SELECT max(month) FROM ledger_archivedmonth WHERE archived_at <= %s", [at])[0][0]
    return starts_at(following(month)) if month else None


def kept_months() -> list[date]:
    """Months that have a partition of entries and are not archived, oldest first."""
    rows = _rows("""
        SELECT to_date(right(inhrelid::regclass::text, 7), 'YYYY_MM') FROM pg_inherits
        WHERE inhparent = 'ledger_ledgerentry'::regclass ORDER BY 1""")
    since = kept_since()
    return [month for (month,) in rows if starts_at(month) >= since]


def archived() -> dict[date, Sums]:
    """Every archived month and what its entries amounted to, oldest first."""
    rows = _rows("SELECT month, entries, nanos, tokens, requests FROM ledger_archivedmonth ORDER BY month")
    return {month: Sums(*map(int, sums)) for month, *sums in rows}


def is_undelivered(month: date) -> bool:
    """Whether a consumer, such as the rollups, still has to read an entry that was booked in the month or before."""
    until = starts_at(following(month))
    waiting = OutboxMessage.objects.filter(topic=TOPIC, created_at__lt=until)
    return waiting.exists() or Delivery.objects.filter(topic=TOPIC, created_at__lt=until).exists()


def book_month(month: date, sums: Sums) -> None:
    """The month is archived from the commit of the caller's transaction on."""
    _execute(
        "INSERT INTO ledger_archivedmonth VALUES (%s, %s, %s, %s, %s, spendra_now_v1())",
        [month, sums.entries, sums.nanos, sums.tokens, sums.requests],
    )


def _rows(statement: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _execute(statement: str, parameters: list[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
