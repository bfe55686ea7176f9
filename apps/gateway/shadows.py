"""What policies in shadow would have said: counted in memory, written down every few seconds, and never in the way of a
request. What a killed process has not written yet is lost."""

import asyncio
import logging
from dataclasses import dataclass
from uuid import UUID

import orjson
import psycopg

from apps.budgets.connecting import HotConnection
from apps.gateway import metrics
from apps.gateway.deciding import Decided

log = logging.getLogger(__name__)

EVERY_SECONDS = 5
_COUNT = "SELECT policies_count_shadow_v1(%s::jsonb)::text"


@dataclass(slots=True)
class _Counts:
    organization_id: str
    asked: int = 0
    denied: int = 0
    for_review: int = 0


class ShadowCounts:
    def __init__(self, connection: HotConnection) -> None:
        self._connection = connection
        self._counts: dict[UUID, _Counts] = {}
        self._task = asyncio.create_task(self._run())

    def count(self, decided: Decided) -> None:
        """One request that was decided upon, whatever became of it."""
        organization_id = decided.route.organization_id
        for version_id in decided.route.in_shadow:
            self._of(version_id, organization_id).asked += 1
        for fired in decided.decision.shadow:
            metrics.shadow_decisions.labels(fired.effect, fired.kind).inc()
            counts = self._of(fired.version_id, organization_id)
            if fired.effect == "review":
                counts.for_review += 1
            else:
                counts.denied += 1

    def _of(self, version_id: UUID, organization_id: str) -> _Counts:
        counts = self._counts.get(version_id)
        if counts is None:
            counts = self._counts[version_id] = _Counts(organization_id)
        return counts

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self._write()
            except psycopg.Error as error:
                log.warning("counting what policies in shadow would have said failed: %s", error)

    async def _write(self) -> None:
        """Not tried again where nobody knows whether it was taken: rather too few than counted twice."""
        counts, self._counts = self._counts, {}
        if not counts:
            return
        counted = [
            {
                "version_id": version_id,
                "organization_id": one.organization_id,
                "asked": one.asked,
                "denied": one.denied,
                "for_review": one.for_review,
            }
            for version_id, one in counts.items()
        ]
        await self._connection.call(_COUNT, (orjson.dumps(counted).decode(),))

    async def close(self) -> None:
        """With a last word to Postgres, where it answers."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        try:
            await self._write()
        except psycopg.Error as error:
            log.warning("counting what policies in shadow would have said failed: %s", error)
