"""Callers that do what a gateway does, on plain connections: load the rules in one snapshot, open periods, reserve,
settle; and a watcher that looks at every counter while they run."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg

from apps.budgets import seeding
from apps.budgets.models import Budget
from apps.budgets.types import PeriodKey
from apps.orgs.models import Organization, Unit
from tests.budgets import money
from tests.databases import Database

Connection = psycopg.Connection[Any]
CENTURY = datetime(2100, 1, 1, tzinfo=UTC)


class Rules:
    """One snapshot: tokens and budgets, read in one REPEATABLE READ transaction as the gateway reads them."""

    def __init__(self, connection: Connection, organization: Organization) -> None:
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            self.tokens = money.tokens_of(connection, organization)
            rows = connection.execute(
                "SELECT b.id, b.unit_id, b.applies_to_each, b.period_kind, o.time_zone, u.kind FROM budgets_budget b "
                "JOIN orgs_organization o ON o.id = b.organization_id LEFT JOIN orgs_unit u ON u.id = b.unit_id "
                "WHERE b.archived_at IS NULL AND b.organization_id = %s",
                (organization.id,),
            ).fetchall()
        self._organization = organization
        self._budgets = [self._budget(*row) for row in rows]

    def _budget(self, id: Any, unit_id: Any, each: str, period_kind: str, zone: str, kind: str) -> Budget:
        organization = Organization(id=self._organization.id, time_zone=zone)
        unit = Unit(id=unit_id, kind=kind) if unit_id else None
        return Budget(id=id, organization=organization, unit=unit, applies_to_each=each, period_kind=period_kind)

    def keys(self, scopes: Sequence[Unit], at: datetime) -> list[PeriodKey]:
        """The windows that a request of these scopes is counted in."""
        ids = {unit.id for unit in scopes}
        keys = []
        for budget in self._budgets:
            if budget.applies_to_each:
                keys += [
                    seeding.period_key(budget, at=at, each=unit)
                    for unit in scopes
                    if unit.kind == budget.applies_to_each
                ]
            elif budget.unit_id is None or budget.unit_id in ids:
                keys.append(seeding.period_key(budget, at=at))
        return keys


class Caller:
    """One client of one organization on a connection of its own. Counts its verdicts."""

    def __init__(self, connection: Connection, organization: Organization, scopes: Sequence[Unit], seed: int = 0):
        self.connection, self.organization, self.scopes = connection, organization, scopes
        self.payer = money.identity(organization, scopes)
        self.random = random.Random(seed)
        self.verdicts: Counter[str] = Counter()
        self.opened: dict[tuple[str, str | None, str], dict[str, Any]] = {}
        self.reload()

    def reload(self) -> None:
        self.rules = Rules(self.connection, self.organization)
        self.opened.clear()

    def request(self, nanos: int) -> dict[str, Any]:
        at = money.now_of(self.connection)
        periods = self._periods(self.rules.keys(self.scopes, at))
        return money.a_request(
            self.organization, self.rules.tokens, [period["id"] for period in periods], nanos, **self.payer,
            valid_from=max([period["starts_at"] for period in periods], default="1970-01-01T00:00:00Z"),
            valid_until=min([period["ends_at"] for period in periods], default="9999-01-01T00:00:00Z"),
        )  # fmt: skip

    def reserve(self, nanos: int) -> dict[str, Any] | None:
        """The granted request, or None: refused, which `verdicts` counts. Rules that moved are read again."""
        for _ in range(20):
            request = self.request(nanos)
            verdict = money.verdict(self.connection, request)
            self.verdicts[verdict] += 1
            if verdict == "granted":
                return request
            if verdict != "stale":
                return None
            self.reload()
        raise AssertionError("the rules never came to rest")

    def settle(self, request: dict[str, Any], cost: int) -> None:
        money.end(self.connection, money.an_ending(request, cost=cost))

    def spend(self, nanos: int, cost: int) -> bool:
        request = self.reserve(nanos)
        if request is not None:
            self.settle(request, cost)
        return request is not None

    def _periods(self, keys: list[PeriodKey]) -> list[dict[str, Any]]:
        names = [(key.budget_id, key.unit_id, key.label) for key in keys]
        missing = [key for key, name in zip(keys, names, strict=True) if name not in self.opened]
        if missing:
            for key, period in zip(missing, money.open_periods(self.connection, missing), strict=True):
                self.opened[key.budget_id, key.unit_id, key.label] = period
        return [self.opened[name] for name in names]


def in_parallel(*acts: Callable[[], object]) -> list[Any]:
    """What each returned; the first failure is raised when all have ended."""
    with ThreadPoolExecutor(len(acts)) as pool:
        return [future.result() for future in [pool.submit(act) for act in acts]]


@contextmanager
def meanwhile(act: Callable[[], Any]) -> Iterator["Future[Any]"]:
    """`act` runs in a thread from here on; leaving waits for it, and raises what it raised."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(act)
        yield future
        future.result(timeout=30)


@contextmanager
def watched(database: Database, forbidden: str) -> Iterator[list[Any]]:
    """A connection that asks for rows of `forbidden`, a query, again and again; they are in the list at the end."""
    seen: list[Any] = []
    is_over = threading.Event()
    connection = database.connect()

    def watch() -> None:
        while not is_over.wait(0.002):
            seen.extend(connection.execute(forbidden).fetchall())

    with meanwhile(watch):
        try:
            yield seen
        finally:
            is_over.set()


def waits_for_lock(watcher: Connection, pid: int) -> bool:
    row = watcher.execute("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone()
    return bool(row and row[0])


def until(is_so: Callable[[], bool], seconds: float = 10) -> None:
    pause = threading.Event()
    for _ in range(int(seconds / 0.005)):
        if is_so():
            return
        pause.wait(0.005)
    raise AssertionError("it did not happen in time")


def deadlocks(connection: Connection) -> int:
    """Sessions report their statistics up to a second late."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    row = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    assert row is not None
    return int(row[0])
