"""The two doors to the money: reserve before a call, end it afterwards. Batches, and what is owed to Postgres."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import psycopg

from apps.budgets import reserving, settling
from apps.budgets.connecting import HotConnection
from apps.budgets.types import Ending, Outcome, ReservationRequest, Verdict
from apps.gateway import metrics
from apps.gateway.lanes import Lane
from apps.gateway.rules_store import RulesStore
from spendra.kernel.errors import Busy, SpendraError
from spendra.kernel.ids import uuid7

log = logging.getLogger(__name__)

LANES_A_VERB = 2
KEEP_SETTLES_SECONDS = 60
OLDEST_BACKLOG_SECONDS = 10
RETRY_SECONDS = (0.05, 0.2, 0.5, 1, 2)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a request came to."""

    cost_nanos: int
    tokens: int
    status: Literal["final", "estimated"]
    model: str | None  # the one that answered
    usage: dict[str, object] | None
    price_version_id: str | None  # None: the one that was reserved by


NOTHING_SPENT = Spent(0, 0, "final", None, None, None)


class Booking:
    """Two lanes a verb, an organization always on the same one: a stuck one leaves half of the others alone."""

    def __init__(self, url: str, store: RulesStore) -> None:
        self._store = store
        self._reserving = [self._reserve_lane(HotConnection(url, name="spendra reserve")) for _ in range(LANES_A_VERB)]
        self._settling = [_SettleLane(HotConnection(url, name="spendra settle"), self) for _ in range(LANES_A_VERB)]
        self._settle_waiters: dict[int, set[asyncio.Future[None]]] = {}

    async def reserve(self, request: ReservationRequest) -> Verdict:
        """The verdict of the database. Raises SpendraError where there is none; then nothing stays reserved."""
        if self.backlog_seconds() > OLDEST_BACKLOG_SECONDS:
            raise Busy("earlier requests can't be booked just now; try again")
        lane, _ = self._reserving[_lane_of(request["organization_id"])]
        answer = await lane.submit(request)
        if isinstance(answer, SpendraError):
            if isinstance(answer, reserving.OutcomeUnknown):
                self.void(request)
            raise answer
        return answer

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

    def has_ended(self, endings: Sequence[Ending]) -> None:
        if not self._settle_waiters:
            return
        for ending in endings:
            for period_id in ending["reservation"]["period_ids"]:
                for future in self._settle_waiters.get(period_id, ()):
                    if not future.done():
                        future.set_result(None)

    def backlog_seconds(self) -> float:
        """The age of the oldest ending that Postgres has not taken yet."""
        return max(lane.oldest_seconds() for lane in self._settling)

    def backlog(self) -> int:
        return sum(len(lane) for lane in self._settling)

    def _reserve_lane(
        self, connection: HotConnection
    ) -> tuple[Lane[ReservationRequest, Verdict | SpendraError], HotConnection]:
        async def flush(requests: list[ReservationRequest]) -> Sequence[Verdict | SpendraError]:
            with metrics.reserve_seconds.time():
                now, answers = await reserving.reserve(connection, requests)
            if now is not None:
                self._store.learn_time(now)
            return answers

        def abandoned(request: ReservationRequest, answer: Verdict | SpendraError) -> None:
            # The client went away while its reserve was under way: nobody would ever end it.
            if isinstance(answer, reserving.OutcomeUnknown) or (
                not isinstance(answer, SpendraError) and answer["verdict"] == "granted"
            ):
                self.void(request)

        return Lane(flush, abandoned=abandoned, observe=metrics.reserve_batch.observe), connection

    async def close(self, seconds: float) -> int:
        """Books what is owed, for at most that long. Returns how many endings were given up: the sweeper's, then."""
        for lane, connection in self._reserving:
            await lane.close()
            await connection.close()
        given_up = await asyncio.gather(*(lane.close(seconds) for lane in self._settling))
        return sum(given_up)


class _SettleLane:
    """Endings in the order they came, in batches, until Postgres has them. The last minute's are kept: after a failover
    they are sent again, which changes nothing where they had arrived."""

    def __init__(self, connection: HotConnection, booking: Booking) -> None:
        self._connection = connection
        self._booking = booking
        self._owed: deque[tuple[float, Ending]] = deque()
        self._sent: deque[tuple[float, Ending]] = deque()
        self._generation = 0
        self._arrived = asyncio.Event()
        self._is_empty = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def __len__(self) -> int:
        return len(self._owed)

    def add(self, ending: Ending) -> None:
        self._owed.append((time.monotonic(), ending))
        self._arrived.set()

    def oldest_seconds(self) -> float:
        return time.monotonic() - self._owed[0][0] if self._owed else 0.0

    async def _run(self) -> None:
        failures = 0
        while True:
            await self._arrived.wait()
            if await self._send_batch():
                failures = 0
            else:
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1

    async def _send_batch(self) -> bool:
        batch = self._next_batch()
        if not batch:
            self._arrived.clear()
            return True
        try:
            with metrics.settle_seconds.time():
                outcomes = await settling.settle(self._connection, [ending for _, ending in batch.values()])
        except psycopg.Error as error:
            metrics.settle_failures.inc()
            log.warning("settle failed, %d endings wait: %s", len(self._owed), error)
            return False
        self._taken(batch, outcomes)
        return True

    def _next_batch(self) -> dict[str, tuple[float, Ending]]:
        """From the front, each reservation once; they stay owed until Postgres has answered."""
        batch: dict[str, tuple[float, Ending]] = {}
        for owed in self._owed:
            if len(batch) == reserving.MAX_BATCH or owed[1]["id"] in batch:
                break
            batch[owed[1]["id"]] = owed
        return batch

    def _taken(self, batch: dict[str, tuple[float, Ending]], outcomes: Sequence[Outcome]) -> None:
        now = time.monotonic()
        for _ in batch:
            self._owed.popleft()
        if not self._owed:
            self._is_empty.set()
        metrics.settle_batch.observe(len(batch))
        for outcome in outcomes:
            metrics.endings.labels(outcome["outcome"]).inc()
        self._booking.has_ended([ending for _, ending in batch.values()])
        self._sent.extend((now, ending) for _, ending in batch.values())
        while self._sent and self._sent[0][0] < now - KEEP_SETTLES_SECONDS:
            self._sent.popleft()
        if self._connection.generation != self._generation:
            if self._generation:
                self._send_again()
            self._generation = self._connection.generation

    def _send_again(self) -> None:
        again = {ending["id"]: ending for _, ending in self._sent}
        self._sent.clear()
        now = time.monotonic()
        self._owed.extend((now, ending) for ending in again.values())

    async def close(self, seconds: float) -> int:
        self._is_empty.clear()
        if self._owed:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_empty.wait(), seconds)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._connection.close()
        return len(self._owed)


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
