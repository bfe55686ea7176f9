"""The sweeper: reservations whose gateway is gone, or whose longest time is over, are booked as `estimated`."""

import logging
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, cast
from uuid import UUID

import orjson
import psycopg
from django.db import DatabaseError, DataError, IntegrityError, connection, transaction
from psycopg import errors

from apps.budgets.connecting import is_unknown, is_without_partition
from apps.budgets.retrying import again
from apps.budgets.types import Outcome
from spendra.kernel.ids import uuid7

log = logging.getLogger(__name__)

MAX_BATCH = 256
_PASSING = (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure, errors.QueryCanceled)
_MOST_IN_A_SWEEP = 10_000
_COME_BACK_SECONDS = 2


class _Patience(NamedTuple):
    tries: int
    lock_timeout: str


# With everybody at first, so that many organizations that somebody holds don't keep the others' money.
_SHORT = _Patience(1, "100ms")
# Long enough for any batch of a gateway.
_LONG = _Patience(3, "500ms")


class _Swept(NamedTuple):
    """Of one organization: how many were expired; which were not, and why."""

    expired: int
    waiting: Sequence[UUID] = ()
    fault: DatabaseError | None = None


# Who is in quarantine for an expiry was refused before: somebody has to look before a sweep does. Locked rows are being
# ended just now.
_CANDIDATES = """
    SELECT organization_id, id FROM budgets_reservation r
    WHERE state = 'open' AND organization_id <> ALL (%s)
      AND (expires_at <= spendra_now_v1() OR NOT budgets_process_lives_v1(process_id, spendra_now_v1()))
      AND NOT EXISTS (SELECT FROM budgets_settlequarantine q
                      WHERE q.reservation_id = r.id AND q.resolved_at IS NULL AND q.payload @> '{"kind": "expire"}')
    ORDER BY organization_id, id LIMIT %s FOR NO KEY UPDATE OF r SKIP LOCKED
"""

_FORGET_PROCESSES = """
    DELETE FROM budgets_gatewayprocess p
    WHERE seen_at < spendra_now_v1() - interval '1 day'
      AND NOT EXISTS (SELECT FROM budgets_reservation r WHERE r.state = 'open' AND r.process_id = p.id)
"""


def sweep() -> int:
    """Expires every reservation that nobody will end, and forgets processes long dead; returns how many it expired.

    Several sweepers may run at once: each reservation is judged again under its lock. Short transactions of its own;
    locks reservations by id, then their periods. An organization that can't be swept at once, since its periods stay
    locked or for another fault that passes, is come back to, for two seconds, when all others are done; it is left to
    the next sweep then, as is one whose spend has no partition to go into. Any other fault of an organization is raised
    as DatabaseError when all others are done: a worker whose sweeps fail is not well.
    """
    expired, left = 0, dict[UUID, _Swept]()
    while due := _due(left):
        for organization_id, ids in due.items():
            swept = _sweep_organization(ids, _SHORT)
            expired += swept.expired
            if swept.expired < len(ids):
                left[organization_id] = swept
    expired += _come_back(left)
    _tell(left.values())
    with connection.cursor() as cursor:
        cursor.execute(_FORGET_PROCESSES)
    for swept in left.values():
        if swept.fault is not None and not _is_waited_for(swept.fault):
            raise swept.fault
    return expired


def _come_back(left: dict[UUID, _Swept]) -> int:
    """Not to all where they are many: those who died meanwhile must not wait, and the next sweep is a second away."""
    expired, until = 0, time.monotonic() + _COME_BACK_SECONDS
    for organization_id, swept in left.items():
        if swept.fault is not None and isinstance(swept.fault.__cause__, _PASSING) and time.monotonic() < until:
            left[organization_id] = _sweep_organization(swept.waiting, _LONG)
            expired += left[organization_id].expired
    return expired


def _is_waited_for(fault: DatabaseError) -> bool:
    return isinstance(fault.__cause__, _PASSING) or is_without_partition(fault.__cause__)


def _tell(left: Iterable[_Swept]) -> None:
    without_partition = 0
    for swept in left:
        if swept.fault is None:
            continue
        if is_without_partition(swept.fault.__cause__):
            without_partition += len(swept.waiting)
        elif isinstance(swept.fault.__cause__, _PASSING):
            log.warning("%s reservations can't be ended just now: %s", len(swept.waiting), swept.fault)
    if without_partition:
        log.error(
            "%s reservations stay open: there is no partition to book them into. Is the worker making them?",
            without_partition,
        )


def _due(but: Collection[UUID]) -> dict[UUID, list[UUID]]:
    due: dict[UUID, list[UUID]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_CANDIDATES, [list(but), _MOST_IN_A_SWEEP])
        for organization_id, id in cursor.fetchall():
            due[organization_id].append(id)
    return due


def _sweep_organization(ids: Sequence[UUID], patience: _Patience) -> _Swept:
    expired = first = 0
    try:
        for first in range(0, len(ids), MAX_BATCH):
            outcomes = _expire([{"id": str(id), "kind": "expire"} for id in ids[first : first + MAX_BATCH]], patience)
            expired += sum(outcome["outcome"] == "expired" for outcome in outcomes)
    except DatabaseError as error:
        if not isinstance(error.__cause__, psycopg.Error) or is_unknown(error.__cause__):
            raise  # the line, and with it everybody's
        return _Swept(expired, ids[first:], error)
    return _Swept(expired)


def _expire(endings: Sequence[dict[str, Any]], patience: _Patience) -> list[Outcome]:
    """Ends a batch, sorted by id; one that the database refuses for its data goes to the quarantine, alone.

    Raises IntegrityError where there is no partition to book into: no data is at fault.
    """
    try:
        return again(partial(_in_own_transaction, endings, patience.lock_timeout), tries=patience.tries)
    except (DataError, IntegrityError) as error:
        if is_without_partition(error.__cause__):
            raise
        if len(endings) == 1:
            _quarantine(endings[0], str(error))
            return []
    middle = len(endings) // 2
    return _expire(endings[:middle], patience) + _expire(endings[middle:], patience)


def _in_own_transaction(endings: Sequence[dict[str, Any]], lock_timeout: str) -> list[Outcome]:
    with transaction.atomic(durable=True):
        return settle(endings, lock_timeout=lock_timeout)


def settle(endings: Sequence[dict[str, Any]], *, lock_timeout: str = _LONG.lock_timeout) -> list[Outcome]:
    """One call of the transition table in the caller's transaction, which should end soon: it holds periods."""
    payload = orjson.dumps([{**ending, "entry_id": str(uuid7())} for ending in endings]).decode()
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [lock_timeout])
        cursor.execute("SELECT budgets_settle_v2(%s::jsonb)::text", [payload])
        return cast("list[Outcome]", orjson.loads(cursor.fetchone()[0]))


def _quarantine(ending: dict[str, Any], reason: str) -> None:
    log.error("expiry of reservation %s is quarantined: %s", ending["id"], reason)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT budgets_quarantine_v1(%s, %s, NULL, %s, %s)",
            [uuid7(), ending["id"], orjson.dumps(ending).decode(), reason],
        )
