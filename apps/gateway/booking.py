"""The two doors to the money: reserve before a call, end it afterwards."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from apps.budgets import reserving
from apps.budgets.connecting import HotConnection
from apps.budgets.types import Ending, ReservationRequest, Verdict
from apps.gateway import metrics
from apps.gateway.lanes import Lane
from apps.gateway.rules_store import RulesStore
from apps.gateway.settle_lane import SettleLane
from apps.gateway.stale_tokens import StaleTokens
from spendra.kernel.errors import Busy, SpendraError
from spendra.kernel.ids import uuid7

log = logging.getLogger(__name__)

LANES_A_VERB = 2
OLDEST_BACKLOG_SECONDS = 10
# Endings kept in memory while Postgres does not take them, a few kB each. Twice what a process admits at its fastest
# (docs/performance.md) in the ten seconds after which an organization gets no more, so that one which is stuck alone
# can't use it up.
MOST_OWED = 40_000
LOCKED_SECONDS = 1  # that a request goes on asking where somebody holds a lock that it needs

ReserveLane = Lane[ReservationRequest, Verdict | SpendraError]

# Why a cost is no more than a bound.
Doubt = Literal["unknown_model", "guessed_price", "no_usage", "broken_stream", "nothing_known"]


@dataclass(frozen=True, slots=True)
class Spent:
    """What a request came to."""

    cost_nanos: int
    tokens: int
    status: Literal["final", "estimated"]
    model: str | None  # the one that answered
    usage: dict[str, object] | None
    price_version_id: str | None  # None: the one that was reserved by
    doubt: Doubt | None = None


NOTHING_SPENT = Spent(0, 0, "final", None, None, None)


class Booking:
    """Two lanes a verb, an organization always on the same one: a stuck one leaves half of the others alone."""

    def __init__(self, url: str, store: RulesStore) -> None:
        self._store = store
        self._reserving = [self._reserve_lane(HotConnection(url, name="spendra reserve")) for _ in range(LANES_A_VERB)]
        self._settling = [self._settle_lane(HotConnection(url, name="spendra settle")) for _ in range(LANES_A_VERB)]
        self._settle_waiters: dict[int, set[asyncio.Future[None]]] = {}

    async def reserve(self, request: ReservationRequest) -> Verdict:
        """The verdict of the database. Raises SpendraError where there is none; then nothing stays reserved."""
        number = _lane_of(request["organization_id"])
        oldest = self._settling[number].oldest_seconds(request["organization_id"])
        if oldest > OLDEST_BACKLOG_SECONDS or self.backlog() >= MOST_OWED:
            raise Busy("earlier requests can't be booked just now; try again")
        lane, _ = self._reserving[number]
        give_up_at = time.monotonic() + LOCKED_SECONDS
        while True:
            answer = await self._submit(lane, request)
            # It may only be a slow disk. It goes on behind what was asked since, so that it keeps nobody else.
            if not isinstance(answer, reserving.Locked) or time.monotonic() > give_up_at:
                break
        if isinstance(answer, SpendraError):
            self._abandon(request, answer)
            raise answer
        return answer

    async def _submit(self, lane: ReserveLane, request: ReservationRequest) -> Verdict | SpendraError:
        future = lane.submit(request)
        try:
            return await future
        except asyncio.CancelledError:
            # The verdict and the cancellation came in the same round of the loop: the lane took it for delivered.
            if future.done() and not future.cancelled() and future.exception() is None:
                self._abandon(request, future.result())
            raise

    def end(self, ending: Ending) -> None:
        """Owed from now on: kept and tried again until Postgres has taken it, or until shutdown gives it up."""
        self._settling[_lane_of(ending["reservation"]["organization_id"])].add(ending)

    def void(self, reservation: ReservationRequest) -> None:
        self.end(ending_of(reservation, kind="void"))

    async def wait_for_settle(self, period_id: int, seconds: float) -> bool:
        """True once a request of this process has ended on that period, False when none did in time."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiters = self._settle_waiters.setdefault(period_id, set())
        waiters.add(future)
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            return False
        finally:
            waiters.discard(future)
            if not waiters and self._settle_waiters.get(period_id) is waiters:
                del self._settle_waiters[period_id]
        return True

    def _wake_waiters(self, endings: Sequence[Ending]) -> None:
        if not self._settle_waiters:
            return
        for ending in endings:
            for period_id in ending["reservation"]["period_ids"]:
                for future in self._settle_waiters.get(period_id, ()):
                    if not future.done():
                        future.set_result(None)

    async def look_after_lines(self) -> None:
        """Sends the last minute's endings again where an idle line to Postgres had to be made anew."""
        await asyncio.gather(*(lane.look_after_line() for lane in self._settling))

    def backlog_seconds(self) -> float:
        """The age of the oldest ending that Postgres has not taken yet, those of stuck organizations excepted."""
        return max(lane.oldest_seconds() for lane in self._settling)

    def stuck_seconds(self) -> float:
        """The same of the organizations that are stuck: each refuses its own requests, and the process goes on."""
        return max(lane.oldest_stuck_seconds() for lane in self._settling)

    def backlog(self) -> int:
        return sum(len(lane) for lane in self._settling)

    def _reserve_lane(self, connection: HotConnection) -> tuple[ReserveLane, HotConnection]:
        stale = StaleTokens()

        async def flush(requests: list[ReservationRequest]) -> Sequence[Verdict | SpendraError]:
            told = [stale.verdict_on(request) for request in requests]
            asked = [request for request, verdict in zip(requests, told, strict=True) if verdict is None]
            answers = await self._ask(connection, asked) if asked else ()
            for request, answer in zip(asked, answers, strict=True):
                stale.note(request, answer)
            rest = iter(answers)
            return [verdict or next(rest) for verdict in told]

        return Lane(flush, abandoned=self._abandon), connection

    async def _ask(
        self, connection: HotConnection, requests: list[ReservationRequest]
    ) -> Sequence[Verdict | SpendraError]:
        metrics.reserve_batch.observe(len(requests))
        try:
            with metrics.reserve_seconds.time():
                now, answers = await reserving.reserve(connection, requests)
            if now is not None:
                self._store.learn_time(now)
        except Exception:
            # A fault of ours, perhaps after the commit: what was granted belongs to nobody.
            for request in requests:
                self.void(request)
            raise
        return answers

    def _abandon(self, request: ReservationRequest, answer: Verdict | SpendraError) -> None:
        """Voids what was, or may have been, granted to a request that goes no further: nobody else would end it."""
        if isinstance(answer, SpendraError):
            if isinstance(answer, reserving.OutcomeUnknown):
                self.void(request)
        elif answer["verdict"] == "granted":
            self.void(request)

    def _settle_lane(self, connection: HotConnection) -> SettleLane:
        return SettleLane(connection, ended=self._wake_waiters)

    async def close(self, seconds: float) -> int:
        """Books what is owed, for at most that long. Returns how many endings were given up: the sweeper's, then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(lane.close() for lane, _ in self._reserving))
        for _, connection in self._reserving:
            await connection.close()
        given_up = await asyncio.gather(*(lane.close(seconds) for lane in self._settling))
        return sum(given_up)


def _lane_of(organization_id: str) -> int:
    return int(organization_id[-1], 16) % LANES_A_VERB


def ending_of(
    reservation: ReservationRequest, *, kind: Literal["settle", "void"], spent: Spent = NOTHING_SPENT
) -> Ending:
    """An ending, with the whole reservation for a database that has lost it."""
    return {
        "id": reservation["id"],
        "kind": kind,
        "entry_id": str(uuid7()),
        "cost_nanos": spent.cost_nanos,
        "tokens": spent.tokens,
        "status": spent.status,
        "model": spent.model,
        "usage": spent.usage,
        "price_version_id": spent.price_version_id or reservation["price_version_id"],
        "reservation": reservation,
    }
