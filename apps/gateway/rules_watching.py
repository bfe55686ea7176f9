"""The rules in memory are brought up to date beside the traffic, so that most requests find them so already. One that
meets `stale` all the same does as ever: this only makes it rare."""

import asyncio
import logging
from uuid import UUID

from apps.gateway.rules_store import RulesStore
from spendra.kernel.errors import Busy

log = logging.getLogger(__name__)

TURN_SECONDS = 1
AFTER_FAILURE_SECONDS = 5
# In a turn: one short statement, and no more than a twentieth of a second of work on the event loop. With more
# organizations in memory, or after a change of very many, it takes some turns.
MOST_ASKED = 500
MOST_FOLLOWED = 50


class RulesWatch:
    """Once a second, one statement for the tokens of what is held. None where no organization is."""

    def __init__(self, store: RulesStore) -> None:
        self._store = store
        self._still_to_ask: list[UUID] = []
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        pause = TURN_SECONDS
        while True:
            await asyncio.sleep(pause)
            pause = TURN_SECONDS
            try:
                await self._look()
            except Busy:
                pause = AFTER_FAILURE_SECONDS  # told by the store
            except Exception:
                log.exception("the rules in memory could not be looked after")
                pause = AFTER_FAILURE_SECONDS

    async def _look(self) -> None:
        self._still_to_ask = self._still_to_ask or self._store.held()
        asked, self._still_to_ask = self._still_to_ask[:MOST_ASKED], self._still_to_ask[MOST_ASKED:]
        moved = await self._store.moved(asked) if asked else []
        for rules_id, token in moved[:MOST_FOLLOWED]:
            await self._store.reach(rules_id, token)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
