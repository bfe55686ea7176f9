"""Reserve: a batch of requests in, a verdict for each out. The deciding itself is SQL: sql/reserve_v3.sql."""

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, cast

import orjson
import psycopg

from apps.budgets.connecting import (
    HotConnection,
    is_bad_data,
    is_lock_wait,
    is_serialization,
    is_unknown,
    is_without_partition,
)
from apps.budgets.types import OpenPeriod, PeriodKey, ReservationRequest, Verdict
from spendra.kernel.errors import Busy, RequestMalformed, SpendraError

log = logging.getLogger(__name__)

MAX_BATCH = 256
SERIALIZATION_RETRIES = 3

# How often a batch was tried again, by cause; the gateway shows it as a metric.
retries: Counter[str] = Counter()


class Locked(Busy):
    """Somebody held one of the periods, or the fence, for longer than a reserve waits: nothing is reserved."""


class OutcomeUnknown(Busy):
    """The connection was lost: the reserve may or may not have committed. The caller queues a void for its id."""


async def reserve(
    connection: HotConnection, requests: Sequence[ReservationRequest]
) -> tuple[str | None, list[Verdict | SpendraError]]:
    """Database time and, for each request in order, its verdict or the error that kept it from one. Never raises.

    Nothing is reserved for a request that got an error, except OutcomeUnknown. A request asked again with the same id
    is granted again.
    """
    return await _reserve(connection, list(requests), SERIALIZATION_RETRIES)


async def _reserve(
    connection: HotConnection, requests: list[ReservationRequest], tries: int
) -> tuple[str | None, list[Verdict | SpendraError]]:
    try:
        reply = await _call(connection, requests)
    except psycopg.Error as error:
        return await _after(error, connection, requests, tries)
    except (TypeError, ValueError) as error:
        # Before anything is sent: an id that is named twice, and what orjson refuses, lone surrogates and integers
        # beyond 64 bits.
        return await _halve(connection, requests, tries, str(error))
    return reply["now"], reply["verdicts"]


async def _call(connection: HotConnection, requests: list[ReservationRequest]) -> dict[str, Any]:
    if len({request["id"] for request in requests}) < len(requests):
        # Side by side, the second would be measured against what the first has left.
        raise ValueError("a batch names a reservation twice")
    wanted: dict[int, int] = {}
    items = []
    for request in requests:
        positions = [wanted.setdefault(period, len(wanted) + 1) for period in request["period_ids"]]
        items.append({**request, "positions": positions})
    reply = await connection.call(
        "SELECT budgets_reserve_v3(%s::bigint[], %s::jsonb)::text", (list(wanted), orjson.dumps(items).decode())
    )
    return cast("dict[str, Any]", orjson.loads(str(reply)))


async def _after(
    error: psycopg.Error, connection: HotConnection, requests: list[ReservationRequest], tries: int
) -> tuple[str | None, list[Verdict | SpendraError]]:
    if isinstance(error, psycopg.errors.UniqueViolation) and len(requests) == 1:
        # The call before, whose answer was lost, has committed it in the meantime: it is known now.
        return await _reserve(connection, requests, tries)
    if is_bad_data(error):
        return await _halve(connection, requests, tries, str(error), is_ours=is_without_partition(error))
    if is_serialization(error) and tries:
        retries["serialization"] += 1
        return await _reserve(connection, requests, tries - 1)
    # Not where it is asked for the second time: what is in the way may be the first, which commits after all
    # (tests/crash/test_lost_replies_of_postgres.py).
    if is_lock_wait(error) and tries:
        return await _by_organization(connection, requests)
    if is_unknown(error) and tries == SERIALIZATION_RETRIES:
        # Outcome unknown: asked once more with the same ids, which is safe.
        retries["reconnect"] += 1
        return await _reserve(connection, requests, 0)
    log.warning("reserve failed: %s", error)
    # One exception each: each keeps the frames that it is raised through.
    return None, [OutcomeUnknown("the database did not answer; try again") for _ in requests]


async def _halve(
    connection: HotConnection,
    requests: list[ReservationRequest],
    tries: int,
    reason: str,
    *,
    is_ours: bool = False,
) -> tuple[str | None, list[Verdict | SpendraError]]:
    retries["bad_data"] += 1
    if len(requests) == 1:
        log.error("reserve refused by the database: %s", reason)
        if is_ours:
            return None, [Busy("the database has no room for this month yet; try again")]
        return None, [RequestMalformed("this request can't be stored: check its text and numbers")]
    middle = len(requests) // 2
    now, first = await _reserve(connection, requests[:middle], tries)
    later, second = await _reserve(connection, requests[middle:], tries)
    return later or now, first + second


async def _by_organization(
    connection: HotConnection, requests: list[ReservationRequest]
) -> tuple[str | None, list[Verdict | SpendraError]]:
    """Somebody holds a lock. Alone, each organization finds out whether it is the one that is stuck."""
    retries["lock_wait"] += 1
    places: dict[str, list[int]] = defaultdict(list)
    for place, request in enumerate(requests):
        places[request["organization_id"]].append(place)
    answers: list[Verdict | SpendraError] = [
        Locked("this budget is locked by another change; try again") for _ in requests
    ]
    now = None
    if len(places) > 1:
        for mine in places.values():
            now, verdicts = await _reserve(connection, [requests[place] for place in mine], SERIALIZATION_RETRIES)
            for place, verdict in zip(mine, verdicts, strict=True):
                answers[place] = verdict
    return now, answers


async def open_periods(connection: HotConnection, keys: Sequence[PeriodKey]) -> list[OpenPeriod]:
    """The periods of `keys`, opened where nobody has yet. A call of its own, before reserve. Raises psycopg.Error."""
    ordered = sorted(range(len(keys)), key=lambda i: (keys[i].budget_id, keys[i].unit_id or "", keys[i].label))
    reply = await connection.ask(
        "SELECT budgets_open_periods_v2(%s::jsonb)::text", (orjson.dumps([keys[i] for i in ordered]).decode(),)
    )
    found = orjson.loads(str(reply))
    return [period for _, period in sorted(zip(ordered, found, strict=True), key=lambda pair: pair[0])]
