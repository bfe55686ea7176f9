"""One random history, told to the database and to the reference at once, and compared after every step."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from apps.budgets import capping, ending, expiring, maintenance, reserving, seeding, settling
from apps.budgets.connecting import HotConnection
from apps.budgets.models import Budget
from apps.budgets.periods import END_OF_TIME
from apps.budgets.types import Ending, PeriodKey, ReservationRequest
from apps.orgs.models import Unit
from spendra.kernel.errors import Conflict, NotFound
from spendra.kernel.ids import uuid7
from tests.budgets import money
from tests.databases import Database
from tests.simulator.reference import Books, Cap, Entry, Held, PeriodName

# The night in which Havana's clocks go back, and the end of a week and a month near it.
START = datetime(2025, 10, 31, 20, tzinfo=UTC)
FAR_AWAY = START + timedelta(days=100)
PERIOD_KINDS = ("total", "day", "week", "month", "year")


class Gateway:
    """A process with the rules that it read last, which may be old."""

    def __init__(self) -> None:
        self.process = str(uuid7())
        self.version = -1
        self.tokens: dict[str, str] = {}
        self.caps: list[Cap] = []


class World:
    def __init__(self, database: Database, seed: int) -> None:
        self.random = random.Random(seed)
        self.books = Books(now=START)
        self.connection = database.connect()
        self.set_clock(START)
        maintenance.ensure_partitions()
        self.organization = money.make_organization(time_zone="America/Havana", week_starts_on=6)
        self.units = self._make_units()
        self.budgets: dict[str, Budget] = {}
        self.ids: dict[PeriodName, int] = {}
        self.gateways = [Gateway(), Gateway()]
        self.granted: list[dict[str, Any]] = []
        self.runner = asyncio.Runner()
        self.hot = HotConnection(database.url, name="simulator")
        self.steps: list[tuple[int, Callable[[], str]]] = [
            (30, self.reserve), (16, self.end), (6, self.sweep), (6, self.heartbeat), (6, self.new_cap),
            (5, self.move_cap), (1, self.archive_cap), (26, self.reload), (5, self.time_passes), (4, self.boundary),
            (2, self.crash), (4, self.lost_reply), (3, self.rolled_back), (2, self.failover), (3, self.end_by_hand),
            (4, self.seed_waiting), (4, self.decided_before),
        ]  # fmt: skip

    def close(self) -> None:
        self.runner.run(self.hot.close())
        self.runner.close()

    def step(self) -> str:
        weights = [weight for weight, _ in self.steps]
        [(_, act)] = self.random.choices(self.steps, weights)
        told = act()
        self.compare()
        return f"{act.__name__}: {told}"

    # What gateways do

    def reserve(self) -> str:
        gateway = self.random.choice(self.gateways)
        return self._reserve([self._request(gateway) for _ in range(self.random.randint(1, 5))])

    def decided_before(self) -> str:
        """Decided, then overtaken by the clock: a boundary may lie between."""
        requests = [self._request(self.random.choice(self.gateways))]
        self.random.choice([self.time_passes, self.boundary])()
        return self._reserve(requests)

    def lost_reply(self) -> str:
        """Nobody learns what became of it: it is asked again with the same id, or voided."""
        request = self._request(self.random.choice(self.gateways))
        if self.random.random() < 0.7:
            self._reserve([request])
        if self.random.random() < 0.5:
            return self._reserve([request, request])
        return self._end([self._ending(request, "void")])

    def rolled_back(self) -> str:
        """The backend dies before its commit."""
        request = self._request(self.random.choice(self.gateways))
        self.connection.execute("BEGIN")
        verdict = money.verdict(self.connection, request["asked"])
        self.connection.execute("ROLLBACK")
        return verdict

    def end(self) -> str:
        """Mostly of what was granted lately; some once more, long after."""
        requests = [self.random.choice(self.granted) for _ in range(self.random.randint(1, 3)) if self.granted]
        recent = [request for request in self.granted[-12:] if self.random.random() < 0.3]
        kinds = self.random.choices(["settle", "void", "expire"], [8, 2, 1], k=len(requests) + len(recent))
        return self._end([self._ending(*pair) for pair in zip(requests + recent, kinds, strict=True)])

    def heartbeat(self) -> str:
        for gateway in self.gateways:
            if self.random.random() < 0.8:
                money.beat(self.connection, gateway.process)
                self.books.seen[gateway.process] = self.books.now
        return "beats"

    def crash(self) -> str:
        place = self.random.randrange(len(self.gateways))
        self.gateways[place] = Gateway()
        return f"gateway {place} is another process now"

    def reload(self) -> str:
        gateway = self.random.choice(self.gateways)
        gateway.version = self.books.version
        gateway.tokens = money.tokens_of(self.connection, self.organization)
        gateway.caps = [cap for cap in self.books.caps.values() if not cap.is_archived]
        return f"version {gateway.version}, {len(gateway.caps)} caps"

    # What happens to them

    def time_passes(self) -> str:
        return self._advance(timedelta(seconds=self.random.choice([1, 10, 29, 31, 300, 3600])))

    def boundary(self) -> str:
        ends = [window.ends_at for window in self.books.windows.values() if self.books.now < window.ends_at < FAR_AWAY]
        if not ends:
            return "none"
        edge = min(ends) - self.books.now
        return self._advance(
            edge + self.random.choice([timedelta(0), timedelta(microseconds=-1), timedelta(seconds=2)])
        )

    def failover(self) -> str:
        """The newest open reservation was never replicated."""
        open_now = [held for held in self.books.held.values() if held.state == "open"]
        if not open_now:
            return "nothing to lose"
        lost = open_now[-1]
        for name in lost.windows:
            self.connection.execute(
                "UPDATE budgets_period p SET reserved = reserved - CASE b.measure WHEN 'nanos' THEN %s "
                "WHEN 'tokens' THEN %s ELSE 1 END FROM budgets_budget b WHERE b.id = p.budget_id AND p.id = %s",
                (lost.nanos, lost.tokens, self.ids[name]),
            )
        self.connection.execute("DELETE FROM budgets_reservation WHERE id = %s", (lost.id,))
        self.books.lose(lost)
        return lost.id

    # What people and the worker do

    def sweep(self) -> str:
        expected = self.books.sweep()
        assert expiring.sweep() == expected
        return f"{expected} expired"

    def end_by_hand(self) -> str:
        held = self.random.choice([*self.books.held.values(), None])
        id = UUID(held.id) if held else uuid7()
        told = "nothing"
        with suppress(Conflict, NotFound):
            ending.end_by_hand(id, organization=self.organization, acting="ann@example.com", reason="simulated")
            told = "expired"
        expected = "nothing"
        if held and held.state == "open":
            expected = self.books.end(held, "expire", 0, 0, by_hand=True) or "nothing"
        assert told == expected
        return told

    def new_cap(self) -> str:
        if len([cap for cap in self.books.caps.values() if not cap.is_archived]) > 7:
            return "enough"
        unit = self.random.choice([None, None, *self.units])
        each = self.random.choice(["", "", "", "employee"]) if unit is None or unit.kind == "team" else ""
        measure, amount = self.random.choice([("nanos", 3000), ("nanos", 900), ("requests", 12), ("tokens", 150)])
        budget = capping.set_cap(
            organization=self.organization, unit=unit, applies_to_each=each, measure=measure,
            period_kind=self.random.choice(PERIOD_KINDS), amount=self.random.randint(amount // 3, amount * 3),
            hardness=self.random.choice(["hard", "hard", "soft"]), counts_from_now=self.random.random() < 0.3,
            acting="ann@example.com",
        )  # fmt: skip
        return self._learn_cap(budget)

    def move_cap(self) -> str:
        cap = self._any_cap()
        if cap is None:
            return "no cap"
        cap.amount = max(0, cap.amount + self.random.randint(-cap.amount, cap.amount))
        before = Budget.objects.get(id=cap.id).amount
        capping.change_amount(self.budgets[cap.id], amount=cap.amount, acting="ann@example.com")
        self.books.version += before != cap.amount
        return f"{before} to {cap.amount}"

    def archive_cap(self) -> str:
        cap = self._any_cap()
        if cap is None:
            return "no cap"
        capping.archive_cap(UUID(cap.id), organization=self.organization, acting="ann@example.com")
        cap.is_archived = True
        self.books.version += 1
        return cap.id

    def seed_waiting(self) -> str:
        names = [name for name, window in self.books.windows.items() if window.is_seeding]
        for name in sorted(names, key=self.ids.__getitem__):
            self.books.seed(name)
        assert seeding.seed_waiting() == len(names)
        return f"{len(names)} filled"

    # How it is done

    def set_clock(self, at: datetime) -> None:
        self.connection.execute(
            "CREATE OR REPLACE FUNCTION spendra_now_v1() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
            f"'SELECT timestamptz ''{at.isoformat()}'''"
        )

    def _advance(self, by: timedelta) -> str:
        self.books.now += max(by, timedelta(0))
        self.set_clock(self.books.now)
        maintenance.ensure_partitions()
        return self.books.now.isoformat()

    def _make_units(self) -> list[Unit]:
        teams = [money.make_unit(self.organization, name, "team") for name in ("Red", "Blue")]
        employees = [money.make_unit(self.organization, name) for name in ("Ada", "Bob", "Cleo")]
        for employee in employees:
            money.make_key(self.organization, employee)
        Unit.objects.update(created_at=START - timedelta(days=30))
        self.books.version = 0
        return [*teams, *employees]

    def _any_cap(self) -> Cap | None:
        alive = [cap for cap in self.books.caps.values() if not cap.is_archived]
        return self.random.choice(alive) if alive else None

    def _learn_cap(self, budget: Budget) -> str:
        budget = Budget.objects.select_related("organization", "unit").get(id=budget.id)
        id = str(budget.id)
        if id in self.books.caps:
            self.books.version += self.books.caps[id].amount != budget.amount
            self.books.caps[id].amount = budget.amount
            return f"moved to {budget.amount}"
        self.connection.execute("UPDATE budgets_budget SET created_at = %s WHERE id = %s", (self.books.now, id))
        self.budgets[id] = budget
        self.books.caps[id] = Cap(
            id, str(budget.unit_id) if budget.unit_id else None, budget.applies_to_each, budget.measure,
            budget.period_kind, budget.hardness == "hard", budget.amount, budget.counts_from_now, self.books.now,
        )  # fmt: skip
        self.books.version += 1
        if not budget.applies_to_each:
            key = seeding.period_key(budget, at=self.books.now)
            self._learn_window(key)
            self.books.seed((key.budget_id, key.unit_id, key.label))
        return f"{budget} for {budget.unit or 'all'} {budget.applies_to_each}"

    def _learn_window(self, key: PeriodKey) -> PeriodName:
        name = (key.budget_id, key.unit_id, key.label)
        if name not in self.ids:
            [opened] = money.open_periods(self.connection, [key])
            self.ids[name] = opened["id"]
            cap = self.books.caps[key.budget_id]
            scope = key.unit_id or cap.unit_id or str(self.organization.id)
            self.books.open_window(
                name, scope, datetime.fromisoformat(key.starts_at), datetime.fromisoformat(key.ends_at)
            )
        return name

    def _request(self, gateway: Gateway) -> dict[str, Any]:
        """What a gateway decides by the rules that it has: for the database, and for the reference."""
        scopes = [self.random.choice(self.units[2:]), self.random.choice(self.units[:2])]
        names = [self._learn_window(key) for key in self._keys(gateway, scopes)]
        windows = [self.books.windows[name] for name in names]
        fields = {
            "nanos": self.random.choice([0, 1, self.random.randint(1, 400)]),
            "tokens": self.random.randint(0, 30),
            "lifetime_seconds": self.random.choice([5, 600, 600]),
            "process_id": gateway.process,
            "valid_from": max((window.starts_at for window in windows), default=START).isoformat(),
            "valid_until": min((window.ends_at for window in windows), default=END_OF_TIME).isoformat(),
            **money.identity(self.organization, scopes),
        }
        tokens = gateway.tokens or {"organization_token": money.NIL, "global_token": money.NIL}
        asked = money.a_request(self.organization, tokens, [self.ids[name] for name in names], **fields)
        return {"asked": asked, "version": gateway.version, "names": names}

    def _keys(self, gateway: Gateway, scopes: list[Unit]) -> list[PeriodKey]:
        keys = []
        for cap in gateway.caps:
            if cap.unit_id is not None and UUID(cap.unit_id) not in {unit.id for unit in scopes}:
                continue
            each = [scope for scope in scopes if scope.kind == cap.each] if cap.each else [None]
            keys += [seeding.period_key(self.budgets[cap.id], at=self.books.now, each=unit) for unit in each]
        return keys

    def _held(self, request: dict[str, Any]) -> Held:
        asked = request["asked"]
        return Held(
            asked["id"], asked["scope_ids"], asked["nanos"], asked["tokens"], list(request["names"]),
            asked["process_id"], self.books.now, self.books.now + timedelta(seconds=asked["lifetime_seconds"]),
        )  # fmt: skip

    def _reserve(self, requests: list[dict[str, Any]]) -> str:
        asked = [cast("ReservationRequest", request["asked"]) for request in requests]
        _, verdicts = self.runner.run(reserving.reserve(self.hot, asked))
        told = [cast("dict[str, Any]", verdict)["verdict"] for verdict in verdicts]
        expected = []
        for request in requests:
            edges = [datetime.fromisoformat(request["asked"][edge]) for edge in ("valid_from", "valid_until")]
            expected.append(self.books.reserve(self._held(request), request["version"], *edges))
        assert told == expected
        self.granted += [item for item, verdict in zip(requests, told, strict=True) if verdict == "granted"]
        return " ".join(told)

    def _ending(self, request: dict[str, Any], kind: str) -> dict[str, Any]:
        asked = request["asked"]
        cost = self.random.choice([asked["nanos"], self.random.randint(0, asked["nanos"] * 2)])
        fields = {"cost": cost, "tokens": self.random.randint(0, 30)}
        return {"request": request, "ending": money.an_ending(asked, kind, **fields)}

    def _end(self, endings: list[dict[str, Any]]) -> str:
        sent = [cast("Ending", item["ending"]) for item in endings]
        outcomes = self.runner.run(settling.settle(self.hot, sent)) if sent else []
        expected = [
            self.books.end(self._held(item["request"]), item["ending"]["kind"], item["ending"]["cost_nanos"],
                           item["ending"]["tokens"])
            for item in endings
        ]  # fmt: skip
        assert [outcome["outcome"] for outcome in outcomes] == [told for told in expected if told is not None]
        return " ".join(outcome["outcome"] for outcome in outcomes)

    def compare(self) -> None:
        names = {id: name for name, id in self.ids.items()}
        periods = self.connection.execute(
            "SELECT id, settled, reserved, seeded, is_seeding FROM budgets_period"
        ).fetchall()
        assert {names[id]: tuple(row) for id, *row in periods} == {
            name: (window.settled, window.reserved, window.seeded, window.is_seeding)
            for name, window in self.books.windows.items()
        }
        held = self.connection.execute(
            "SELECT id::text, state, end_cause, is_late, booked_nanos, booked_tokens, period_ids "
            "FROM budgets_reservation"
        ).fetchall()
        assert {row[0]: (*row[1:6], {names[id] for id in row[6]}) for row in held} == {
            held.id: (held.state, held.cause, held.is_late, held.booked_nanos, held.booked_tokens, set(held.windows))
            for held in self.books.held.values()
        }
        entries = self.connection.execute(
            "SELECT reservation_id::text, kind, status, cause, amount_nanos, tokens FROM ledger_ledgerentry"
        ).fetchall()
        assert Counter(Entry(*row) for row in entries) == self.books.summary()
