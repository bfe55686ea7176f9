"""Reserve + settle pairs a second straight on the money core: the gateway's batching lanes and SQL, no HTTP.

`python -m bench.money --organization SLUG --callers 64 --actor hot` prints one JSON object. Each caller reserves under
the hard cap of its actor, settles, and begins again; callers take the actors in turn. Acts on DATABASE_URL.
"""

import argparse
import asyncio
import itertools
import json
import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
import uvloop

from apps.budgets import reserving, settling
from apps.budgets.connecting import HotConnection
from apps.budgets.periods import BEGINNING_OF_TIME, END_OF_TIME
from apps.budgets.types import Ending, PeriodKey, ReservationRequest, Verdict
from apps.gateway.lanes import Lane
from bench.load import percentile
from spendra.kernel.errors import SpendraError
from spendra.kernel.ids import uuid7

COST_NANOS = 105_600
AMOUNT_NANOS = 180_000
USAGE = {"input": 24, "output": 60, "service_tier": "default"}

ACTORS = """
    SELECT actor.id::text, budget.id::text, budget.organization_id::text, key.key_id
    FROM budgets_budget budget
    JOIN orgs_unit actor ON actor.id = budget.unit_id
    JOIN keys_key key ON key.actor_id = actor.id
    JOIN orgs_organization organization ON organization.id = budget.organization_id
    WHERE organization.slug = %s AND actor.kind = 'agent' AND (%s::text IS NULL OR actor.name = %s)
    ORDER BY actor.id
"""
TOKENS = "SELECT id::text, token::text FROM budgets_governanceversion"
NOBODY = "00000000-0000-0000-0000-000000000000"


class Callers:
    """Each goes through one lane to reserve and one to settle, as every request of one organization does."""

    def __init__(self, url: str) -> None:
        self._reserve_connection = HotConnection(url, name="bench reserve")
        self._settle_connection = HotConnection(url, name="bench settle")
        self._reserve_lane: Lane[ReservationRequest, Verdict | SpendraError] = Lane(self._reserve)
        self._settle_lane: Lane[Ending, object] = Lane(self._settle)
        self.latencies: list[float] = []
        self.batches = 0

    async def spend(self, template: ReservationRequest, *, starts_at: float, ends_at: float) -> None:
        while (began_at := time.perf_counter()) < ends_at:
            request: ReservationRequest = {**template, "id": str(uuid7())}
            verdict = await self._reserve_lane.submit(request)
            if isinstance(verdict, SpendraError) or verdict["verdict"] != "granted":
                raise RuntimeError(f"not granted: {verdict}")
            await self._settle_lane.submit(_ending(request))
            if starts_at <= began_at:
                self.latencies.append(time.perf_counter() - began_at)

    async def _reserve(self, requests: list[ReservationRequest]) -> Sequence[Verdict | SpendraError]:
        self.batches += 1
        return (await reserving.reserve(self._reserve_connection, requests))[1]

    async def _settle(self, endings: list[Ending]) -> Sequence[object]:
        return await settling.settle(self._settle_connection, endings)

    async def close(self) -> None:
        for lane in (self._reserve_lane, self._settle_lane):
            await lane.close()
        for connection in (self._reserve_connection, self._settle_connection):
            await connection.close()


def _ending(request: ReservationRequest) -> Ending:
    return {
        "id": request["id"],
        "kind": "settle",
        "entry_id": str(uuid7()),
        "cost_nanos": COST_NANOS,
        "tokens": 84,
        "status": "final",
        "model": "gpt-4.1-mini-2025-04-14",
        "usage": USAGE,
        "price_version_id": None,
        "reservation": request,
    }


async def templates(url: str, slug: str, actor_name: str | None) -> Iterator[ReservationRequest]:
    """One request an actor, under the total cap of that actor, for ever."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        actors = await (await connection.execute(ACTORS, (slug, actor_name, actor_name))).fetchall()
        tokens: dict[str, str] = dict(await (await connection.execute(TOKENS)).fetchall())
    opener = HotConnection(url, name="bench periods")
    periods = await reserving.open_periods(opener, [_period_key(*actor[:3]) for actor in actors])
    await opener.close()
    return itertools.cycle(
        _request(actor, organization, key_id, tokens, period["id"] or 0)
        for (actor, _, organization, key_id), period in zip(actors, periods, strict=True)
    )


def _period_key(actor: str, budget: str, organization: str) -> PeriodKey:
    return PeriodKey(
        budget_id=budget,
        unit_id=actor,
        organization_id=organization,
        label="T",
        starts_at=BEGINNING_OF_TIME.isoformat(),
        ends_at=END_OF_TIME.isoformat(),
        lock_rank=10,
        wanted_at=datetime.now(UTC).isoformat(),
    )


def _request(actor: str, organization: str, key_id: str, tokens: dict[str, str], period_id: int) -> ReservationRequest:
    return {
        "id": "",
        "organization_id": organization,
        "organization_token": tokens[organization],
        "global_token": tokens[NOBODY],
        "nanos": AMOUNT_NANOS,
        "tokens": 200,
        "period_ids": [period_id],
        "valid_from": BEGINNING_OF_TIME.isoformat(),
        "valid_until": END_OF_TIME.isoformat(),
        "lifetime_seconds": 600,
        "key_id": key_id,
        "actor_id": actor,
        "process_id": str(uuid7()),
        "request_id": "bench",
        "provider": "openai",
        "model": "gpt-4.1-mini",
        "price_version_id": None,
        "scope_ids": [organization, actor],
    }


async def measure(url: str, asked: argparse.Namespace) -> dict[str, Any]:
    wanted = await templates(url, asked.organization, asked.actor)
    callers = Callers(url)
    starts_at = time.perf_counter() + asked.warmup
    window = {"starts_at": starts_at, "ends_at": starts_at + asked.seconds}
    await asyncio.gather(*(callers.spend(next(wanted), **window) for _ in range(asked.callers)))
    await callers.close()
    ordered = sorted(callers.latencies)
    return {
        "pairs_per_second": len(ordered) / asked.seconds,
        "p50_ms": percentile(ordered, 0.50) * 1000,
        "p99_ms": percentile(ordered, 0.99) * 1000,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--organization", required=True)
    parser.add_argument("--actor", help="all callers spend as this one; else they take the actors in turn")
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--warmup", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=4.0)
    print(json.dumps(uvloop.run(measure(os.environ["DATABASE_URL"], parser.parse_args()))))


if __name__ == "__main__":
    main()
