"""Natural batching: while one batch is in flight the next one forms. No timers."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from spendra.kernel.errors import Busy

# Who has waited so long would only hear later that the database does not answer.
LONGEST_WAIT_SECONDS = 5

Item = TypeVar("Item")
Result = TypeVar("Result")


class Lane(Generic[Item, Result]):
    """A queue in front of one connection, drained in its own task: cancelling a waiter never cancels a batch.

    `flush` answers a batch, a result an item, in order; where it raises, every waiter of the batch gets the exception.
    `abandoned` is called with the result of an item whose waiter has gone.
    """

    def __init__(
        self,
        flush: Callable[[list[Item]], Awaitable[Sequence[Result]]],
        *,
        most_in_batch: int = 256,
        most_waiting: int = 4096,
        abandoned: Callable[[Item, Result], None] | None = None,
    ) -> None:
        self._flush = flush
        self._most_in_batch = most_in_batch
        self._most_waiting = most_waiting
        self._abandoned = abandoned
        self._waiting: deque[tuple[Item, asyncio.Future[Result], float]] = deque()
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task = asyncio.create_task(self._run())

    def submit(self, item: Item) -> asyncio.Future[Result]:
        """The result to come. Busy when too many wait already, or, as the result, after LONGEST_WAIT_SECONDS."""
        if len(self._waiting) >= self._most_waiting:
            raise Busy("too many requests are waiting for the database; try again")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future, time.monotonic()))
        self._idle.clear()
        self._arrived.set()
        return future

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            batch = self._next_batch()
            if not self._waiting:
                self._arrived.clear()
            if batch:
                await self._answer(batch)
            if not self._waiting:
                self._idle.set()

    def _next_batch(self) -> "list[tuple[Item, asyncio.Future[Result]]]":
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        earliest = time.monotonic() - LONGEST_WAIT_SECONDS
        while self._waiting and len(batch) < self._most_in_batch:
            item, future, since = self._waiting.popleft()
            if since >= earliest:
                batch.append((item, future))
            elif not future.done():
                future.set_exception(Busy("the database answers too slowly just now; try again"))
        return batch

    async def _answer(self, batch: "list[tuple[Item, asyncio.Future[Result]]]") -> None:
        try:
            results = await self._flush([item for item, _ in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"a batch of {len(batch)} was answered with {len(results)} results")
        except Exception as error:  # noqa: BLE001  # whatever it is, the waiters must learn of it
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (item, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
            elif self._abandoned is not None:
                self._abandoned(item, result)

    async def close(self) -> None:
        """Waits for what is queued, then ends the task."""
        await self._idle.wait()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
