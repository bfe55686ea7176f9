"""A world of one seed: units with several parents, caps of every kind on them, callers who spend below them, and
somebody who overrides the caps meanwhile. And a watcher: no cap may be passed but for what is counted by cause."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connections

from apps.budgets import overriding
from apps.budgets.models import Budget, BudgetOverride
from apps.budgets.types import PeriodKey
from apps.orgs.models import Organization, Unit
from apps.orgs.scopes import scope_set
from spendra.kernel.clock import database_now
from spendra.kernel.errors import Conflict, Invalid
from tests.budgets import money
from tests.concurrency.callers import Caller, Connection, Rules, in_parallel, meanwhile
from tests.databases import Database

PLACES, ACTORS = ("branch", "team", "project"), ("employee", "agent")
LARGEST = 400
AMOUNTS = {"nanos": (2 * LARGEST, 20_000), "requests": (4, 60), "tokens": (40, 600)}
# A reserve that was decided by an override may commit a moment after it has ended.
GRACE = timedelta(seconds=2)

# What is spent and held, and the highest cap that was in force since the last look: overrides that were, and the base
# unless one of them was all the time.
SINCE = """
    SELECT now.at, p.id, p.settled + p.reserved, b.measure, greatest(max(o.amount),
           CASE WHEN bool_or(o.starts_at <= %(since)s AND o.ends_at > now.at) THEN 0 ELSE b.amount END)
    FROM (SELECT spendra_now_v1() AS at) now CROSS JOIN budgets_period p JOIN budgets_budget b ON b.id = p.budget_id
    LEFT JOIN (SELECT budget_id, amount, starts_at, least(ends_at, ended_at) AS ends_at FROM budgets_budgetoverride) o
        ON o.budget_id = b.id AND o.starts_at <= now.at AND o.ends_at > %(since)s
    WHERE b.hardness = 'hard' AND b.organization_id = %(organization)s GROUP BY now.at, p.id, b.id
"""


class World:
    def __init__(self, database: Database, seed: int, *, callers: int = 6) -> None:
        self.random = random.Random(seed)
        self.is_over = threading.Event()
        self.above: list[str] = []
        self.connection = database.connect()
        self.organization = money.make_organization(f"world-{seed}")
        money.beat(self.connection)
        self.parents: dict[UUID, list[UUID]] = {}
        places = self._make_units(PLACES, self.random.randint(2, 6))
        self.units = {unit.id: unit for unit in [*places, *self._make_units(ACTORS, self.random.randint(2, 5))]}
        self.budgets = self._make_budgets()
        self.spenders = [self._make_spender(database.connect(), seed + number) for number in range(callers)]

    def play(self, seconds: float) -> None:
        """Everybody at once, until the time is over or a cap was passed. What the watcher saw is in `above`."""
        with Watcher(self).watching():
            in_parallel(*(spender.live for spender in self.spenders), self._override, partial(self._end_after, seconds))

    def close(self) -> None:
        for connection in (self.connection, *(spender.connection for spender in self.spenders)):
            connection.close()

    def verdicts(self) -> Counter[str]:
        return sum((spender.verdicts for spender in self.spenders), start=Counter())

    def _make_units(self, kinds: tuple[str, ...], count: int) -> list[Unit]:
        """Each below up to three places that were made before."""
        above = [*self.parents]
        made = []
        for number in range(count):
            kind = self.random.choice(kinds)
            unit = money.make_unit(self.organization, f"{kind} {number}", kind)
            self.parents[unit.id] = self.random.sample(above, min(len(above), self.random.randint(0, 3)))
            if kinds is PLACES:
                above.append(unit.id)
            else:
                money.make_key(self.organization, unit)
            made.append(unit)
        return made

    def _make_budgets(self) -> list[Budget]:
        """One over everybody in any case, so that all callers meet."""
        scopes = [None, *(self.random.choice([None, *self.units.values()]) for _ in range(self.random.randint(3, 9)))]
        return [self._make_budget(scope) for scope in scopes]

    def _make_budget(self, unit: Unit | None) -> Budget:
        measure = self.random.choice(["nanos", "nanos", "requests", "tokens"])
        has_others_below = unit is None or unit.kind in PLACES
        return money.make_budget(
            self.organization, self.random.randint(*AMOUNTS[measure]), unit, measure=measure,
            applies_to_each=self.random.choice(["", "", *PLACES, *ACTORS]) if has_others_below else "",
            hardness=self.random.choice(["hard", "hard", "hard", "soft"]),
            period_kind=self.random.choice(["total", "hour", "day", "month"]),
        )  # fmt: skip

    def _make_spender(self, connection: Connection, seed: int) -> "Spender":
        actor = self.random.choice([unit for unit in self.units.values() if unit.kind in ACTORS])
        projects = [unit.id for unit in self.units.values() if unit.kind == "project"]
        scopes = scope_set(actor.id, self.random.choice([None, *projects]), self.parents)
        return Spender(self, connection, [self.units[id] for id in scopes], seed)

    def _override(self) -> None:
        """For a second at most, from now on or soon, upwards or downwards; some are ended before their time."""
        given: list[BudgetOverride] = []
        while not self.is_over.wait(self.random.uniform(0.02, 0.2)):
            budget = self.random.choice(self.budgets)
            starts_at = database_now() + timedelta(seconds=self.random.uniform(0.2, 0.5))
            about = {"organization": self.organization, "acting": "test", "reason": "simulated"}
            # Another is in force already; or this thread was so slow that it would begin in the past.
            with suppress(Conflict, Invalid):
                given.append(overriding.override_cap(
                    budget.id, amount=self.random.randint(0, 2 * budget.amount),
                    starts_at=self.random.choice([None, starts_at]),
                    ends_at=starts_at + timedelta(seconds=self.random.uniform(0.1, 1)), **about,
                ))  # fmt: skip
            if given and self.random.random() < 0.3:
                overriding.end_override(self.random.choice(given).id, **about)
        connections.close_all()  # of this thread

    def _end_after(self, seconds: float) -> None:
        self.is_over.wait(seconds)
        self.is_over.set()


class GraphRules(Rules):
    """An each-budget is for units below its scope."""

    def __init__(self, connection: Connection, organization: Organization, parents: dict[UUID, list[UUID]]) -> None:
        super().__init__(connection, organization)
        self._parents = parents
        self._scope_of = {str(budget.id): budget.unit_id for budget in self._budgets}

    def keys(self, scopes: Any, at: datetime) -> list[PeriodKey]:
        return [key for key in super().keys(scopes, at) if key.unit_id is None or self._is_below(key)]

    def _is_below(self, key: PeriodKey) -> bool:
        unit, scope = UUID(key.unit_id), self._scope_of[key.budget_id]
        return scope is None or (scope != unit and scope in scope_set(unit, None, self._parents))


class Spender(Caller):
    """Reserves, settles and voids at random. `announced` is overage, a period, that it is about to book; `booked` what
    it has."""

    def __init__(self, world: World, connection: Connection, scopes: list[Unit], seed: int) -> None:
        self._world = world
        self.announced: Counter[int] = Counter()
        self.booked: Counter[int] = Counter()
        super().__init__(connection, world.organization, scopes, seed)

    def reload(self) -> None:
        self.rules = GraphRules(self.connection, self.organization, self._world.parents)
        self.opened.clear()

    def live(self) -> None:
        running: list[dict[str, Any]] = []
        while not self._world.is_over.is_set():
            request = self.reserve(self.random.randint(1, LARGEST))
            if request is not None:
                running.append(request)
            if running and (request is None or self.random.random() < 0.6):
                self.end(running.pop(self.random.randrange(len(running))))
        for request in running:
            self.end(request)

    def end(self, request: dict[str, Any]) -> None:
        kind = self.random.choices(["void", "settle", "overage"], [3, 6, 1])[0]
        if kind == "void":
            money.end(self.connection, money.an_ending(request, "void"))
            return
        over = self.random.randint(1, 50) if kind == "overage" else 0
        counts = dict.fromkeys(request["period_ids"], over)
        self.announced.update(counts)
        self.settle(request, request["nanos"] + over if over else self.random.randint(0, request["nanos"]) // 3)
        self.booked.update(counts)


class Watcher:
    """Looks at every hard period again and again. Since the look before, none may have risen above the highest cap that
    was in force meanwhile, but for overage."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._since = money.now_of(world.connection) - GRACE
        self._seen: dict[int, int] = {}
        self._booked: Counter[int] = Counter()

    @contextmanager
    def watching(self) -> Iterator[None]:
        above = self._world.above

        def watch() -> None:
            while not self._world.is_over.wait(0.002):
                above.extend(self.look())
                if above:
                    self._world.is_over.set()

        with meanwhile(watch):
            try:
                yield
            finally:
                self._world.is_over.set()
        above.extend(self.look())

    def look(self) -> list[str]:
        booked = sum((spender.booked.copy() for spender in self._world.spenders), start=Counter())
        about = {"since": self._since, "organization": self._world.organization.id}
        rows = self._world.connection.execute(SINCE, about).fetchall()
        announced = sum((spender.announced.copy() for spender in self._world.spenders), start=Counter())
        above = []
        for _, period, used, measure, cap in rows:
            overage = announced[period] - self._booked[period] if measure == "nanos" else 0
            most = max(self._seen.get(period, 0), cap) + overage
            if used > most:
                above.append(f"period {period} holds {used} {measure}, where {most} would be right")
        self._seen = {period: used for _, period, used, _, _ in rows}
        self._since = min((at for at, *_ in rows), default=self._since + GRACE) - GRACE
        self._booked = booked
        return above
