"""The rules in memory, and the two ways in which they become current: a reserve that finds them stale, and a refusal
that is confirmed before it is answered."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import orjson
import psycopg

from apps.budgets.connecting import HotConnection
from apps.gateway import metrics
from apps.gateway.lanes import Lane
from apps.gateway.rules import CatalogRules, KeyRule, OrganizationRules
from apps.gateway.rules_following import FOLLOWING, follow
from apps.gateway.rules_loading import EVERYBODY, RulesLoader
from spendra.kernel.errors import Busy

log = logging.getLogger(__name__)
T = TypeVar("T")

LOAD_SECONDS = 10
UNKNOWN_KEYS_A_SECOND = 100
SLOW_LOOKUP_SECONDS = 0.05


class LookupLimit:
    """Which addresses ask for more unknown keys a second than somebody who just mistyped one."""

    def __init__(self) -> None:
        self._second = 0
        self._counts: Counter[str] = Counter()

    def is_over(self, address: str) -> bool:
        self._turn_second()
        return self._counts[address] >= UNKNOWN_KEYS_A_SECOND

    def count(self, address: str) -> None:
        self._turn_second()
        self._counts[address] += 1

    def _turn_second(self) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._second = second
            self._counts.clear()


class RulesStore:
    def __init__(self, url: str) -> None:
        self._url = url
        self._loader = RulesLoader(url)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rules")
        # For tokens, the opening of periods, and heartbeats.
        self.connection = HotConnection(url, name="spendra gateway tokens")
        self._tokens: Lane[UUID, str | None] = Lane(self._read_tokens)
        self._owners: Lane[str, UUID | None] = Lane(self._read_owners)
        self._slow_owners: Lane[str, UUID | None] = Lane(self._read_owners_slowly, most_waiting=512)
        self._unknown_keys = LookupLimit()
        self._loading: dict[UUID, asyncio.Task[None]] = {}
        self._catalog: CatalogRules | None = None
        self._organizations: dict[UUID, OrganizationRules] = {}
        self._owner_of_key: dict[str, UUID] = {}
        self._clock_ahead = timedelta()
        self._last_answer = datetime.fromtimestamp(0, UTC)

    def now(self) -> datetime:
        """The database's time, a little late at most: never before its last answer, so that a reserve which was just
        past the end of a period is not decided in that period again."""
        return max(datetime.now(UTC) + self._clock_ahead, self._last_answer)

    def learn_time(self, database_now: str) -> None:
        self._last_answer = datetime.fromisoformat(database_now)
        self._clock_ahead = self._last_answer - datetime.now(UTC)

    async def find(self, key_id: str, address: str) -> tuple[OrganizationRules, CatalogRules, KeyRule] | None:
        """The key and the rules it stands in, asked of Postgres where memory does not know it. None: no such key."""
        owner = self._owner_of_key.get(key_id)
        if owner is not None and (loading := self._loading.get(owner)):
            # What is held has moved already: a reserve would only say so.
            await asyncio.wait([loading])
        if owner is None or not self._knows(owner, key_id):
            # Guessing is slowed down and not refused: behind an ingress a key issued this instant has the same address.
            lane = self._slow_owners if self._unknown_keys.is_over(address) else self._owners
            owner = await lane.submit(key_id)
            if owner is None:
                self._unknown_keys.count(address)
                return None
            await self._load_until(owner, partial(self._knows, owner, key_id))
        if self._catalog is None:
            await self.reload(EVERYBODY)
        rules = self._organizations.get(owner)
        if rules is None or self._catalog is None or key_id not in rules.keys:
            return None
        self._owner_of_key[key_id] = owner
        return rules, self._catalog, rules.keys[key_id]

    def _knows(self, owner: UUID, key_id: str) -> bool:
        rules = self._organizations.get(owner)
        return rules is not None and key_id in rules.keys

    async def are_current(self, rules: OrganizationRules, catalog: CatalogRules) -> bool:
        """Whether a decision taken from these rules still stands. A read that began after the question, shared."""
        own = self._tokens.submit(rules.id)
        everybody = self._tokens.submit(EVERYBODY)
        return await own == rules.token and await everybody == catalog.token

    def held(self) -> list[UUID]:
        """Whose rules are in memory; nobody's, not even everybody's, where no organization's are."""
        return [EVERYBODY, *self._organizations] if self._organizations else []

    async def moved(self, ids: list[UUID]) -> list[tuple[UUID, str | None]]:
        """Which of them are held under another token than the one in force, and that one."""
        tokens = await self._read_tokens(ids)
        return [(one, token) for one, token in zip(ids, tokens, strict=True) if self._token_of(one) != token]

    async def refresh(self, rules_id: UUID) -> None:
        """Loads again what has moved of that organization's rules and of the catalog."""
        own = self._tokens.submit(rules_id)
        everybody = self._tokens.submit(EVERYBODY)
        await self.reach(rules_id, await own)
        await self.reach(EVERYBODY, await everybody)

    async def reach(self, rules_id: UUID, token: str | None) -> None:
        """Returns once rules with that token, or newer ones, are in memory: a load that begins now is no older than the
        verdict that told of it."""
        await self._load_until(rules_id, lambda: token is not None and self._token_of(rules_id) == token)

    def _token_of(self, rules_id: UUID) -> str | None:
        held = self._catalog if rules_id == EVERYBODY else self._organizations.get(rules_id)
        return held.token if held else None

    async def reload(self, rules_id: UUID) -> None:
        """A load that began after this call."""
        await self._load_until(rules_id, lambda: False)

    async def _load_until(self, rules_id: UUID, suffices: Callable[[], bool]) -> None:
        """No load where what is held suffices, or what a load that runs already brings; else one that begins now, or
        has just begun for somebody else who waited for the same one."""
        if suffices():
            return
        running = self._loading.get(rules_id)
        if running is not None:
            await asyncio.wait([running])
            if suffices():
                return
        follower = self._loading.get(rules_id)
        if follower is None or follower is running:
            follower = self._loading[rules_id] = asyncio.create_task(self._load(rules_id))
        await asyncio.shield(follower)

    async def _load(self, rules_id: UUID) -> None:
        try:
            if rules_id == EVERYBODY:
                self._catalog = await self._in_thread(self._loader.catalog)
            else:
                self._keep(rules_id, await self._follow(rules_id) or await self._whole(rules_id))
            metrics.rules_loads.inc()
        finally:
            if self._loading.get(rules_id) is asyncio.current_task():
                del self._loading[rules_id]

    async def _whole(self, organization_id: UUID) -> OrganizationRules | None:
        rules = await self._in_thread(lambda: self._loader.organization(organization_id))
        self._owner_of_key.update(dict.fromkeys(rules.keys if rules else (), organization_id))
        return rules

    async def _follow(self, organization_id: UUID) -> OrganizationRules | None:
        """What is held, brought up to date. None where it must be loaded whole."""
        held = self._organizations.get(organization_id)
        if held is None:
            return None
        try:
            answer = await self.connection.ask(FOLLOWING, (organization_id, held.last_change))
        except psycopg.DataError:
            log.warning("what moved of the rules of %s can't be read: loading them whole", organization_id)
            return None
        except psycopg.Error as error:
            log.warning("loading rules failed: %s", error)
            raise Busy("the database does not answer; try again") from error
        return follow(held, orjson.loads(str(answer)))

    def _keep(self, organization_id: UUID, rules: OrganizationRules | None) -> None:
        before = self._organizations.pop(organization_id, None)
        if before is not None and before is not rules:
            # Routes name their rules, and these their routes: a circle, that would stay until the collector comes.
            before.routes.clear()
        if rules is not None:
            self._organizations[organization_id] = rules

    async def _in_thread(self, work: Callable[[], T]) -> T:
        loading = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            return await asyncio.wait_for(loading, LOAD_SECONDS)
        except TimeoutError as error:
            # Nothing comes from that connection any more; its thread ends when the kernel gives it up.
            log.warning("loading rules took longer than %d s: on a new connection from now on", LOAD_SECONDS)
            self._thread.shutdown(wait=False)
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rules")
            self._loader = RulesLoader(self._url)
            raise Busy("the database does not answer; try again") from error
        except psycopg.Error as error:
            log.warning("loading rules failed: %s", error)
            raise Busy("the database does not answer; try again") from error

    async def _read_tokens(self, ids: list[UUID]) -> Sequence[str | None]:
        found = await self._ask_json(
            "SELECT json_build_array(spendra_now_v1(), (SELECT json_object_agg(id, token) "
            "FROM budgets_governanceversion WHERE id = ANY (%s)))::text",
            (list(set(ids)),),
        )
        self.learn_time(found[0])
        return [(found[1] or {}).get(str(rules_id)) for rules_id in ids]

    async def _read_owners(self, key_ids: list[str]) -> Sequence[UUID | None]:
        found = await self._ask_json(
            "SELECT coalesce(json_object_agg(key_id, organization_id), '{}')::text "
            "FROM keys_key WHERE key_id = ANY (%s)",
            (list(set(key_ids)),),
        )
        return [UUID(found[key_id]) if key_id in found else None for key_id in key_ids]

    async def _read_owners_slowly(self, key_ids: list[str]) -> Sequence[UUID | None]:
        await asyncio.sleep(SLOW_LOOKUP_SECONDS)
        return await self._read_owners(key_ids)

    async def _ask_json(self, statement: str, parameters: tuple[object, ...]) -> Any:
        try:
            return orjson.loads(str(await self.connection.ask(statement, parameters)))
        except psycopg.Error as error:
            log.warning("reading tokens failed: %s", error)
            raise Busy("the database does not answer; try again") from error

    async def close(self) -> None:
        await self._tokens.close()
        await self._owners.close()
        await self._slow_owners.close()
        await self.connection.close()
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._loader.close()
