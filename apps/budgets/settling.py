"""Settle, void, expire: a batch of endings in, booked in one commit. The transitions are SQL: sql/endings_v1.sql."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import cast

import orjson
import psycopg

from apps.budgets.connecting import (
    HotConnection,
    is_bad_data,
    is_cancelled,
    is_lock_wait,
    is_refused_by_settle,
    is_serialization,
    is_without_partition,
)
from apps.budgets.reserving import retries
from apps.budgets.types import Ending, Outcome
from spendra.kernel.ids import uuid7

log = logging.getLogger(__name__)

SERIALIZATION_RETRIES = 3
STUCK = "stuck"


async def settle(connection: HotConnection, endings: Sequence[Ending]) -> list[Outcome]:
    """Ends each reservation once, and books what it cost. Safe to repeat: a second ending is a no-op.

    Endings that Postgres refuses for their data go to the quarantine, alone; an organization whose rows somebody holds
    gets the outcome `stuck`, and the others are booked. Raises psycopg.Error where nothing could be written, as in a
    month whose partition is not made yet, or where that is unknown: the caller keeps the endings and tries again.
    """
    return await _settle(connection, list(endings), SERIALIZATION_RETRIES)


async def _settle(connection: HotConnection, endings: list[Ending], tries: int) -> list[Outcome]:
    try:
        reply = await connection.call("SELECT budgets_settle_v2(%s::jsonb)::text", (orjson.dumps(endings).decode(),))
    except psycopg.Error as error:
        if is_without_partition(error):
            # No data is at fault: all of it waits until the month is made, and is then booked as it was.
            raise
        if is_refused_by_settle(error) and len(kinds := await _by_kind(connection, endings)) > 1:
            return await _apart(connection, endings, kinds)
        if is_bad_data(error):
            return await _halve(connection, endings, str(error))
        if is_serialization(error) and tries:
            retries["serialization"] += 1
            return await _settle(connection, endings, tries - 1)
        if is_cancelled(error) and len(endings) > 1:
            # Perhaps too much work, and then it would be again.
            return await _in_halves(connection, endings)
        if is_lock_wait(error):
            return await _by_organization(connection, endings)
        raise
    except (TypeError, ValueError) as error:
        return await _halve(connection, endings, str(error))
    return cast("list[Outcome]", orjson.loads(str(reply)))


async def _by_organization(connection: HotConnection, endings: list[Ending]) -> list[Outcome]:
    """Somebody holds a lock. Alone, each organization finds out whether it is the one that is stuck."""
    retries["lock_wait"] += 1
    by_organization: dict[str, list[Ending]] = defaultdict(list)
    for ending in endings:
        by_organization[ending["reservation"]["organization_id"]].append(ending)
    if len(by_organization) == 1:
        return [{"id": ending["id"], "outcome": STUCK, "booked_nanos": 0} for ending in endings]
    return await _apart(connection, endings, by_organization.values())


async def _by_kind(connection: HotConnection, endings: list[Ending]) -> list[list[Ending]]:
    """Those whose reservations are there, and those that a failover lost, by what is asked of them: each kind is ended
    in a batch of its own (`budgets_recover_missing_v1`)."""
    reply = await connection.ask(
        "SELECT budgets_known_reservations_v1(%s::uuid[])::text", ([ending["id"] for ending in endings],)
    )
    known = orjson.loads(str(reply))
    kinds: dict[str, list[Ending]] = defaultdict(list)
    for ending in endings:
        kinds["known" if ending["id"] in known else ending["kind"]].append(ending)
    return list(kinds.values())


async def _apart(connection: HotConnection, endings: list[Ending], parts: Iterable[list[Ending]]) -> list[Outcome]:
    """Each part in a batch of its own; the outcomes in the order of `endings`, none where one expires what is lost."""
    outcomes: dict[str, Outcome] = {}
    for part in parts:
        outcomes.update((outcome["id"], outcome) for outcome in await _settle(connection, part, SERIALIZATION_RETRIES))
    return [outcomes[ending["id"]] for ending in endings if ending["id"] in outcomes]


async def _halve(connection: HotConnection, endings: list[Ending], reason: str) -> list[Outcome]:
    retries["bad_data"] += 1
    if len(endings) == 1:
        await _quarantine(connection, endings[0], reason)
        return [{"id": endings[0]["id"], "outcome": "quarantined", "booked_nanos": 0}]
    return await _in_halves(connection, endings)


async def _in_halves(connection: HotConnection, endings: list[Ending]) -> list[Outcome]:
    middle = len(endings) // 2
    return await _settle(connection, endings[:middle], SERIALIZATION_RETRIES) + await _settle(
        connection, endings[middle:], SERIALIZATION_RETRIES
    )


async def _quarantine(connection: HotConnection, ending: Ending, reason: str) -> None:
    """The reservation stays open and is expired as `estimated` in time; the payload waits for somebody to look."""
    log.error("settle of reservation %s is quarantined: %s", ending["id"], reason)
    await connection.call(
        "SELECT budgets_quarantine_v1(%s, %s, %s, %s, %s)::text",
        (uuid7(), ending["id"], ending["reservation"]["organization_id"], _kept(ending), reason.replace("\0", "")),
    )


def _kept(ending: Ending) -> str:
    """As it was, to be tried again; as a text where a jsonb can't hold it."""
    with suppress(TypeError):
        kept = orjson.dumps(ending).decode()
        if "\\u0000" not in kept:
            return kept
    return orjson.dumps(repr(ending).encode("utf-8", "backslashreplace").decode()).decode()
