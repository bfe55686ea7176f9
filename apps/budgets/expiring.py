"""The sweeper: reservations whose gateway is gone, or whose longest time is over, are booked as `estimated`."""

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, cast
from uuid import UUID

import orjson
from django.db import DataError, IntegrityError, connection, transaction

from apps.budgets.models import SettleQuarantine
from apps.budgets.retrying import again
from apps.budgets.types import Outcome
from apps.keys.queries import database_now
from spendra.kernel.ids import uuid7

log = logging.getLogger(__name__)

MAX_BATCH = 256

# Whoever is in quarantine for an expiry was refused before: somebody has to look, not the next sweep.
_CANDIDATES = """
    SELECT id FROM budgets_reservation r
    WHERE state = 'open' AND id > %s
      AND (expires_at <= spendra_now_v1() OR NOT budgets_process_lives_v1(process_id, spendra_now_v1()))
      AND NOT EXISTS (SELECT FROM budgets_settlequarantine q
                      WHERE q.reservation_id = r.id AND q.payload @> '{"kind": "expire"}')
    ORDER BY id LIMIT %s
"""

_FORGET_PROCESSES = """
    DELETE FROM budgets_gatewayprocess p
    WHERE seen_at < spendra_now_v1() - interval '1 day'
      AND NOT EXISTS (SELECT FROM budgets_reservation r WHERE r.state = 'open' AND r.process_id = p.id)
"""


def sweep() -> int:
    """Expires every reservation that nobody will end, and forgets processes long dead; returns how many it expired.

    Several sweepers may run at once: each reservation is judged again under its lock. Short transactions of its own;
    locks reservations by id, then their periods.
    """
    expired = 0
    for ids in _batches():
        outcomes = expire([{"id": str(id), "kind": "expire"} for id in ids])
        expired += sum(outcome["outcome"] == "expired" for outcome in outcomes)
    with connection.cursor() as cursor:
        cursor.execute(_FORGET_PROCESSES)
    return expired


def expire(endings: Sequence[dict[str, Any]]) -> list[Outcome]:
    """Ends a batch, sorted by id; one that the database refuses for its data goes to the quarantine, alone."""
    try:
        return again(partial(_in_own_transaction, endings))
    except (DataError, IntegrityError) as error:
        if len(endings) == 1:
            _quarantine(endings[0], str(error))
            return []
    middle = len(endings) // 2
    return expire(endings[:middle]) + expire(endings[middle:])


def _batches() -> Iterator[list[UUID]]:
    last = UUID(int=0)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_CANDIDATES, [last, MAX_BATCH])
            ids = [row[0] for row in cursor.fetchall()]
        if not ids:
            return
        yield ids
        last = ids[-1]


def _in_own_transaction(endings: Sequence[dict[str, Any]]) -> list[Outcome]:
    with transaction.atomic(durable=True):
        return settle(endings)


def settle(endings: Sequence[dict[str, Any]]) -> list[Outcome]:
    """One call of the transition table in the caller's transaction, which should end soon: it holds periods."""
    payload = orjson.dumps([{**ending, "entry_id": str(uuid7())} for ending in endings]).decode()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '2s'")
        cursor.execute("SELECT budgets_settle_v1(%s::jsonb)::text", [payload])
        return cast("list[Outcome]", orjson.loads(cursor.fetchone()[0]))


def _quarantine(ending: dict[str, Any], reason: str) -> None:
    log.error("expiry of reservation %s is quarantined: %s", ending["id"], reason)
    SettleQuarantine.objects.create(
        reservation_id=ending["id"], payload=ending, error=reason, created_at=database_now()
    )
