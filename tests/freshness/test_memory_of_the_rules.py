"""How often the rules are read, and what stays of those that were replaced."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

import psycopg
import pytest

from apps.gateway.routing import find_route
from apps.gateway.rules import OrganizationRules
from apps.gateway.rules_store import RulesStore
from tests.databases import Database
from tests.gateway.company import Company, make_company

REVOKE = "UPDATE keys_key SET revoked_at = clock_timestamp()"


class CountingStore(RulesStore):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.loads = 0

    async def _load(self, rules_id: UUID) -> None:
        self.loads += 1
        await super()._load(rules_id)

    async def rules(self, company: Company) -> OrganizationRules:
        found = await self.find(company.issued.record.key_id, "")
        assert found is not None
        return found[0]


@pytest.fixture
def acme(database: Database) -> Company:
    return make_company("")


@pytest.fixture
def psql(database: Database) -> psycopg.Connection[Any]:
    return database.connect()


def with_store(database: Database, play: Callable[[CountingStore], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        store = CountingStore(database.url)
        try:
            await play(store)
        finally:
            await store.close()

    asyncio.run(run())


def token_of(psql: psycopg.Connection[Any], company: Company) -> str:
    row = psql.execute(
        "SELECT token::text FROM budgets_governanceversion WHERE id = %s", [company.organization.id]
    ).fetchone()
    assert row is not None
    return str(row[0])


def test_all_who_learn_of_a_change_at_once_wait_for_one_load(
    database: Database, acme: Company, psql: psycopg.Connection[Any]
) -> None:
    async def play(store: CountingStore) -> None:
        await store.rules(acme)
        psql.execute(REVOKE)
        store.loads, token = 0, token_of(psql, acme)
        await asyncio.gather(*(store.reach(acme.organization.id, token) for _ in range(30)))
        assert store.loads == 1
        assert (await store.rules(acme)).token == token

    with_store(database, play)


def test_who_learns_of_a_later_change_during_a_load_gets_one_that_has_it(
    database: Database, acme: Company, psql: psycopg.Connection[Any]
) -> None:
    async def play(store: CountingStore) -> None:
        await store.rules(acme)
        for _ in range(20):
            psql.execute(REVOKE)
            earlier = asyncio.create_task(store.reach(acme.organization.id, token_of(psql, acme)))
            await asyncio.sleep(0)
            psql.execute(REVOKE)
            token = token_of(psql, acme)
            await asyncio.gather(earlier, *(store.reach(acme.organization.id, token) for _ in range(5)))
            assert (await store.rules(acme)).token == token

    with_store(database, play)


def test_who_comes_while_rules_are_loaded_waits_for_them(
    database: Database, acme: Company, psql: psycopg.Connection[Any]
) -> None:
    async def play(store: CountingStore) -> None:
        await store.rules(acme)
        psql.execute(REVOKE)
        token = token_of(psql, acme)
        loading = asyncio.create_task(store.reach(acme.organization.id, token))
        await asyncio.sleep(0)
        assert (await store.rules(acme)).token == token
        await loading

    with_store(database, play)


def test_replaced_rules_are_gone_without_the_collector(
    database: Database, acme: Company, psql: psycopg.Connection[Any]
) -> None:
    """Rules and their routes name each other; of a big company they are megabytes, many times a second."""

    async def play(store: CountingStore) -> None:
        for _ in range(10):
            psql.execute("UPDATE orgs_organization SET requires_cap = NOT requires_cap")
            await store.reach(acme.organization.id, token_of(psql, acme))
            found = await store.find(acme.issued.record.key_id, "")
            assert found is not None
            find_route(*found, provider="openai", model="gpt-4.1-mini", at=store.now())

    gc.collect()
    gc.disable()
    try:
        with_store(database, play)
        assert sum(isinstance(one, OrganizationRules) for one in gc.get_objects()) <= 1
    finally:
        gc.enable()
