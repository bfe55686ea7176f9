"""What a gateway does with the rules of a big company: `python -m bench.loading --organization SLUG` on DATABASE_URL
loads them whole, then makes changes of every kind and follows each. Prints one JSON object."""

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import django
import orjson

django.setup()

from apps.budgets.connecting import HotConnection  # noqa: E402
from apps.gateway.routing import Route, find_route  # noqa: E402
from apps.gateway.rules import CatalogRules, OrganizationRules  # noqa: E402
from apps.gateway.rules_following import FOLLOWING, follow  # noqa: E402
from apps.gateway.rules_loading import RulesLoader  # noqa: E402
from bench import changing, processes  # noqa: E402

CHANGES_A_KIND = 6
NEXT_REQUESTS = 32  # as many as wait for the rules, where 32 callers call
_Milliseconds = dict[str, float]


def load(organization: changing.Organization) -> tuple[OrganizationRules, CatalogRules, dict[str, float]]:
    loader = RulesLoader(os.environ["DATABASE_URL"])
    catalog = loader.catalog()
    before, began_at = processes.resident_mb(os.getpid()), time.perf_counter()
    rules = loader.organization(organization.id)
    told = {"load_seconds": time.perf_counter() - began_at, "grown_mb": processes.resident_mb(os.getpid()) - before}
    loader.close()
    assert rules is not None
    return rules, catalog, told


class Follower:
    """Holds rules and the routes of the keys that call, as a gateway that has answered each of them once."""

    def __init__(self, rules: OrganizationRules, catalog: CatalogRules, connection: HotConnection) -> None:
        self._rules, self._catalog, self._connection = rules, catalog, connection
        self._calling = [key_id for key_id in rules.keys if not key_id.startswith("many-")]

    async def follow(self) -> _Milliseconds:
        self._find(self._calling)
        began_at = time.perf_counter()
        answer = orjson.loads(str(await self._connection.ask(FOLLOWING, (self._rules.id, self._rules.last_change))))
        asked_at = time.perf_counter()
        after = follow(self._rules, answer)
        followed_at = time.perf_counter()
        if after is None or after is self._rules:
            raise RuntimeError("A change moved nothing, or could not be followed.")
        self._rules = after
        self._find(self._calling[:NEXT_REQUESTS])
        ended_at = time.perf_counter()
        kept = len(self._kept())
        return {
            "ask_ms": (asked_at - began_at) * 1000,
            "apply_ms": (followed_at - asked_at) * 1000,
            "kept_routes": kept / len(self._calling),
            "next_ms": (ended_at - followed_at) * 1000,
        }

    def _kept(self) -> list[Route]:
        names = ((key_id, "openai", "gpt-4.1-mini") for key_id in self._calling)
        return [route for name in names if (route := self._rules.kept.find(name, self._rules, self._catalog))]

    def _find(self, key_ids: list[str]) -> None:
        at = datetime.now(UTC)
        for key_id in key_ids:
            key = self._rules.keys[key_id]
            find_route(self._rules, self._catalog, key, provider="openai", model="gpt-4.1-mini", at=at)


async def follow_each_kind(
    company: changing.Company, rules: OrganizationRules, catalog: CatalogRules
) -> dict[str, _Milliseconds]:
    connection = HotConnection(os.environ["DATABASE_URL"], name="bench follow")
    follower = Follower(rules, catalog, connection)
    found = {}
    for kind in changing.KINDS:
        found[kind.__name__] = await _follow_kind(follower, kind(company))
    await connection.close()
    return found


async def _follow_kind(follower: Follower, changes: Iterator[object]) -> _Milliseconds:
    seen = []
    for _ in range(CHANGES_A_KIND):
        await asyncio.to_thread(next, changes)  # the ORM refuses to be called beside a running loop
        seen.append(await follower.follow())
    return {name: statistics.median(one[name] for one in seen) for name in seen[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--organization", required=True)
    company = changing.Company(parser.parse_args().organization)
    rules, catalog, told = load(company.organization)
    followed: dict[str, Any] = asyncio.run(follow_each_kind(company, rules, catalog))
    print(json.dumps(told | {"followed": followed}))


if __name__ == "__main__":
    main()
