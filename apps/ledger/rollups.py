"""Sums of the ledger, kept up to date entry by entry: the outbox's consumer of `ledger.entry_booked`."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from django.db import connection

from apps.ledger import rollups_statements as statements
from apps.ledger.rollups_days import open_day
from apps.outbox.types import Message

CONSUMER = "ledger.rollups"
TOPIC = "ledger.entry_booked"

# When each of these periods began; those that are not worth a rollup are left out, and always will be.
Reported: TypeAlias = Callable[[Collection[int]], Mapping[int, datetime]]

_ENTRIES = """
    SELECT * FROM ledger_ledgerentry
    WHERE id = ANY (%(ids)s::uuid[]) AND booked_at BETWEEN %(first)s::timestamptz AND %(last)s::timestamptz
"""
_FOUND_AND_WITHOUT_DAY = f"""
    SELECT e.organization_id, count(*), min(e.occurred_at) FILTER (WHERE (day.ends_at > e.occurred_at) IS NOT TRUE)
    FROM ({_ENTRIES}) e
    LEFT JOIN LATERAL (
        SELECT ends_at FROM ledger_localday d
        WHERE d.organization_id = e.organization_id AND d.starts_at <= e.occurred_at
        ORDER BY d.starts_at DESC LIMIT 1) day ON true
    GROUP BY e.organization_id ORDER BY e.organization_id
"""
_PERIODS = f"SELECT DISTINCT unnest(e.period_ids) FROM ({_ENTRIES}) e"


def count(messages: Sequence[Message], *, reported: Reported) -> None:
    """Adds the entries that these messages tell of to every rollup they belong to, in the caller's transaction.

    Raises LookupError where an entry is not there. Locks the days of an organization when one begins, then rollups in
    the order of their keys, one table after the other.
    """
    entries = _named_by(messages)
    _open_days(entries, expected=len(messages))
    periods = list(reported([period for (period,) in _rows(_PERIODS, entries)]))
    for grain in (statements.HOUR, statements.DAY, statements.KEY):
        _execute(statements.count(grain, entries=_ENTRIES), entries)
    _execute(
        statements.count(statements.PERIOD, entries=_ENTRIES, where="period.id = ANY (%(periods)s::bigint[])"),
        {**entries, "periods": periods},
    )


def _named_by(messages: Sequence[Message]) -> dict[str, Any]:
    """The parameters of `_ENTRIES`: their ids, and the months in which to look for them."""
    booked = [datetime.fromisoformat(message.payload["booked_at"]) for message in messages]
    return {
        "ids": [message.payload["entry_id"] for message in messages],
        "first": min(booked),
        "last": max(booked),
    }


def _open_days(entries: dict[str, Any], *, expected: int) -> None:
    while True:
        rows = _rows(_FOUND_AND_WITHOUT_DAY, entries)
        if (missing := expected - sum(found for _, found, _ in rows)) > 0:
            raise LookupError(f"{missing} of {expected} entries are not in the ledger")
        waiting = [(organization, at) for organization, _, at in rows if at is not None]
        if not waiting:
            return
        for organization, at in waiting:
            open_day(organization, at=at)


def _rows(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _execute(statement: str, parameters: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
