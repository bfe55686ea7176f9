"""The relay's heartbeat: each second it ends the reservations whose gateway is dead or whose time is over."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from prometheus_client import Counter, Gauge

logger = logging.getLogger(__name__)

_PERIOD_SECONDS = 1.0
# Short, because a crash's money is to be free again soon after Postgres is back.
_LONGEST_PAUSE_SECONDS = 5.0

sweeps = Counter("spendra_sweeper_sweeps", "Sweeps by how they ended.", ["outcome"])
expired = Counter("spendra_sweeper_expired", "Reservations that the sweeper ended.")
lag = Gauge("spendra_sweeper_lag_seconds", "Since the last sweep that worked.")


class Sweeper:
    def __init__(self, sweep: Callable[[], int]) -> None:
        self._sweep = sweep
        self._stopping = asyncio.Event()
        self._failures = 0
        # Always the same thread, and so the same database connection.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sweeper")

    async def startup(self) -> None:
        self._swept_at = time.monotonic()
        logger.info("Sweeping each %.0f s", _PERIOD_SECONDS)
        lag.set_function(lambda: time.monotonic() - self._swept_at)
        self._task = asyncio.create_task(self._run())

    async def drain(self) -> None:
        self._stopping.set()

    async def shutdown(self) -> None:
        await self._task

    async def _run(self) -> None:
        while not self._stopping.is_set():
            await self._sweep_once()
            pause = min(_PERIOD_SECONDS * 2**self._failures, _LONGEST_PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    async def _sweep_once(self) -> None:
        try:
            count = await asyncio.get_running_loop().run_in_executor(self._thread, self._sweep)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next sweep may work, and money waits for it
            self._failures = min(self._failures + 1, 10)
            sweeps.labels("failed").inc()
            logger.error("Sweep failed, trying again: %s: %s", type(error).__name__, str(error).strip())
        else:
            self._failures = 0
            self._swept_at = time.monotonic()
            sweeps.labels("done").inc()
            expired.inc(count)
            if count:
                logger.warning("Ended %d reservations that nobody had ended", count)
