"""Fills the periods of new budgets with what was spent before them. Beside the loading of rules, since summing a long
history takes seconds in which other organizations' rules go on changing."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import psycopg

from apps.gateway.lanes import Lane
from spendra.kernel.errors import Busy

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 5
SERVER_OPTIONS = "-c statement_timeout=60s -c lock_timeout=5s"


class Seeder:
    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._periods: Lane[int, None] = Lane(self._fill)

    async def fill(self, period_ids: Sequence[int]) -> None:
        """Returns once none of them waits for its history. Busy where that takes long; it goes on."""
        waiting = [self._periods.submit(period_id) for period_id in period_ids]
        done, late = await asyncio.wait(waiting, timeout=PATIENCE_SECONDS)
        for future in late:
            future.cancel()
        errors = [error for future in done if (error := future.exception())]
        if errors or late:
            raise Busy("a new budget is still counting what was spent before; try again") from next(iter(errors), None)

    async def _fill(self, period_ids: list[int]) -> Sequence[None]:
        """Each in a transaction of its own, on a connection that is seldom needed and so not kept."""
        try:
            async with await psycopg.AsyncConnection.connect(
                self._url,
                autocommit=True,
                application_name="spendra gateway seeding",
                connect_timeout=5,
                options=SERVER_OPTIONS,
            ) as self._connection:
                for period_id in dict.fromkeys(period_ids):
                    await self._connection.execute("SELECT budgets_seed_v2(%s)", (period_id,))
        except psycopg.Error as error:
            log.warning("seeding failed: %s", error)
            raise
        finally:
            self._connection = None
        return [None] * len(period_ids)

    async def close(self) -> None:
        """Without waiting for a long history: the next process begins again."""
        if self._connection is not None:
            await self._connection.cancel_safe(timeout=1)
        await self._periods.close()
