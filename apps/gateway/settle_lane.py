"""What is owed to Postgres: endings, kept and sent in batches until it has them."""

import asyncio
import logging
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import cast

import orjson
import psycopg

from apps.budgets import reserving, settling
from apps.budgets.connecting import HotConnection
from apps.budgets.types import Ending, Outcome
from apps.gateway import metrics

log = logging.getLogger(__name__)

KEEP_SENT_SECONDS = 60
RETRY_SECONDS = (0.05, 0.2, 0.5, 1, 2)
# How long an organization whose rows somebody holds is left aside, so that the others' endings pass.
STUCK_SECONDS = 0.5

Owed = tuple[float, Ending]


class SettleLane:
    """Endings in the order they came, an organization apart from the others: one whose period somebody has locked waits
    alone. The last minute's are kept after they were taken: after a failover they are sent again, in turn with what is
    owed, which changes nothing where they had arrived."""

    def __init__(self, connection: HotConnection, *, ended: Callable[[Sequence[Ending]], None]) -> None:
        self._connection = connection
        self._ended = ended
        self._owed: dict[str, deque[Owed]] = {}
        self._count = 0  # of all of them: asked at every reserve
        self._stuck_until: dict[str, float] = {}
        self._sent: deque[tuple[float, bytes]] = deque()
        self._again: deque[bytes] = deque()  # they were taken once: nobody waits for them, and they are not owed
        self._is_turn_of_again = False
        self._generation = 0
        self._arrived = asyncio.Event()
        self._is_empty = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def __len__(self) -> int:
        return self._count

    def add(self, ending: Ending) -> None:
        self._owed.setdefault(ending["reservation"]["organization_id"], deque()).append((time.monotonic(), ending))
        self._count += 1
        self._arrived.set()

    def oldest_seconds(self, organization_id: str | None = None) -> float:
        """The age of the oldest ending that is owed for an organization, or for any that is not stuck."""
        if organization_id is not None:
            return _age([self._owed[organization_id]] if organization_id in self._owed else [])
        return _age(owed for name, owed in self._owed.items() if name not in self._stuck_until)

    def oldest_stuck_seconds(self) -> float:
        """The same of those organizations whose rows somebody holds."""
        return _age(owed for name, owed in self._owed.items() if name in self._stuck_until)

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
        self._is_turn_of_again = bool(self._again) and not (batch and self._is_turn_of_again)
        if self._is_turn_of_again:
            return await self._send(_unpacked(self._again[0]), self._take_again)
        if batch:
            return await self._send(batch, self._take)
        await self._wait_for_work()
        return True

    async def _send(self, batch: list[Ending], take: Callable[[Sequence[Ending], Sequence[Outcome]], None]) -> bool:
        try:
            with metrics.settle_seconds.time():
                outcomes = await settling.settle(self._connection, batch)
            metrics.settle_batch.observe(len(batch))
            for outcome in outcomes:
                metrics.endings.labels(outcome["outcome"]).inc()
            take(batch, outcomes)
        except psycopg.Error as error:
            metrics.settle_failures.inc()
            log.warning("settle failed, %d endings wait: %s", len(self), error)
            return False
        except Exception:
            # A fault of ours must not end the lane: everything that is owed would stay so.
            metrics.settle_failures.inc()
            log.exception("settle failed, %d endings wait", len(self))
            return False
        return True

    async def _wait_for_work(self) -> None:
        if self._owed:
            await asyncio.sleep(STUCK_SECONDS / 2)
        else:
            self._arrived.clear()

    def _next_batch(self) -> list[Ending]:
        """From the front of each organization, each reservation once. They stay owed until Postgres has answered."""
        now = time.monotonic()
        batch: dict[str, Ending] = {}
        for organization_id, owed in self._owed.items():
            if self._stuck_until.get(organization_id, 0) > now:
                continue
            for _, ending in owed:
                if ending["id"] in batch:
                    break
                if len(batch) == reserving.MAX_BATCH:
                    return list(batch.values())
                batch[ending["id"]] = ending
        return list(batch.values())

    def _take(self, batch: Sequence[Ending], outcomes: Sequence[Outcome]) -> None:
        now = time.monotonic()
        taken = []
        stuck = {
            ending["reservation"]["organization_id"]
            for ending, outcome in zip(batch, outcomes, strict=True)
            if outcome["outcome"] == settling.STUCK
        }
        for ending in batch:
            organization_id = ending["reservation"]["organization_id"]
            if organization_id in stuck:
                # All of it is sent again: of a batch that was halved, a later ending may have been taken.
                self._stuck_until[organization_id] = now + STUCK_SECONDS
                continue
            self._stuck_until.pop(organization_id, None)
            self._forget(organization_id)
            taken.append(ending)
        self._ended(taken)
        self._keep(taken, now)
        self._tell_if_empty()

    def _take_again(self, batch: Sequence[Ending], outcomes: Sequence[Outcome]) -> None:
        taken = []
        for ending, outcome in zip(batch, outcomes, strict=True):
            if outcome["outcome"] == settling.STUCK:
                self.add(ending)
            else:
                taken.append(ending)
        self._again.popleft()
        self._keep(taken, time.monotonic())
        self._tell_if_empty()

    def _tell_if_empty(self) -> None:
        if not self._owed and not self._again:
            self._is_empty.set()

    def _forget(self, organization_id: str) -> None:
        """Drops the first of an organization; the organization goes to the back of the queue, so that none starves."""
        owed = self._owed.pop(organization_id)
        owed.popleft()
        self._count -= 1
        if owed:
            self._owed[organization_id] = owed

    def _keep(self, taken: Sequence[Ending], now: float) -> None:
        """Packed: a minute of a busy gateway is a hundred thousand endings, much of each the same as of the next."""
        if taken:
            self._sent.append((now, zlib.compress(orjson.dumps(taken), level=1)))
        self._send_again_after_reconnect()
        # Only now: of a line that was down for longer it is the minute before that may be lost.
        while self._sent and self._sent[0][0] < now - KEEP_SENT_SECONDS:
            self._sent.popleft()

    def _send_again_after_reconnect(self) -> None:
        if self._connection.generation == self._generation:
            return
        if self._generation:
            self._again.extend(packed for _, packed in self._sent)
            self._sent.clear()
            self._arrived.set()
        self._generation = self._connection.generation

    async def look_after_line(self) -> None:
        """For a lane that has nothing to send, which would not notice that its server came back without the last
        commits."""
        if self._owed or not self._sent:
            return
        try:
            await self._connection.ask("SELECT 1", ())
        except psycopg.Error as error:
            log.warning("the line for settles is down: %s", error)
        else:
            self._keep([], time.monotonic())

    async def close(self, seconds: float) -> int:
        """Sends what there is to send for at most that long; returns how many endings are given up."""
        self._is_empty.clear()
        if self._owed or self._again:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_empty.wait(), seconds)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._sent.clear()
        await self._connection.close()
        return len(self)


def _unpacked(packed: bytes) -> list[Ending]:
    return cast("list[Ending]", orjson.loads(zlib.decompress(packed)))


def _age(owed: Iterable[deque[Owed]]) -> float:
    """Of the oldest; each queue begins with its own."""
    oldest = min((queue[0][0] for queue in owed), default=None)
    return 0.0 if oldest is None else time.monotonic() - oldest
