"""An act that a role does again and again, in a thread and on a database connection of its own."""

import asyncio
import contextlib
import logging
import time
from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor

logger = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 1.0
# Short, because what waited for Postgres is to go on soon after it is back.
_LONGEST_PAUSE_SECONDS = 5.0


class Repeating:
    """Each second, or as often as it says, or at once where the act left something to do; later and later while it
    fails."""

    name: str
    period_seconds = 1.0

    def __init__(self) -> None:
        self._stopping = asyncio.Event()
        self._failures = 0
        # Always the same thread, and so the same database connection.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=self.name)

    @abstractmethod
    def act(self) -> bool:
        """Runs in the thread; whether there is more to do at once."""

    @abstractmethod
    def failed(self) -> None:
        """Counts it."""

    @property
    def seconds_since_success(self) -> float:
        return time.monotonic() - self._succeeded_at

    async def startup(self) -> None:
        self._succeeded_at = time.monotonic()
        self._task = asyncio.create_task(self._run())

    async def drain(self) -> None:
        self._stopping.set()

    async def shutdown(self) -> None:
        await self._task

    async def _run(self) -> None:
        while not self._stopping.is_set():
            if await self._act_once():
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._pause())

    def _pause(self) -> float:
        if not self._failures:
            return self.period_seconds
        return min(_FIRST_PAUSE_SECONDS * 2.0**self._failures, _LONGEST_PAUSE_SECONDS)

    async def _act_once(self) -> bool:
        try:
            has_more = await asyncio.get_running_loop().run_in_executor(self._thread, self.act)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next time may work
            self._failures = min(self._failures + 1, 10)
            self.failed()
            logger.error("%s failed, trying again: %s: %s", self.name, type(error).__name__, str(error).strip())
            return False
        self._failures = 0
        self._succeeded_at = time.monotonic()
        return has_more
