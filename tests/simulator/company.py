"""One organization and its gateways, kept twice: in the database and in the reference."""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from apps.budgets import maintenance, reserving, seeding, settling
from apps.budgets.connecting import HotConnection
from apps.budgets.models import Budget
from apps.budgets.periods import END_OF_TIME
from apps.budgets.types import Ending, PeriodKey, ReservationRequest
from apps.orgs.models import Unit
from spendra.kernel.ids import uuid7
from tests.budgets import money
from tests.databases import Database
from tests.simulator.reference import Books, Cap, Entry, Held, PeriodName

# The night in which Havana's clocks go back, and the end of a week and a month near it.
START = datetime(2025, 10, 31, 20, tzinfo=UTC)


class Gateway:
    """A process with the rules that it read last, which may be old."""

    def __init__(self) -> None:
        self.process = str(uuid7())
        self.version = -1
        self.tokens: dict[str, str] = {}
        self.caps: list[Cap] = []


class Company:
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
        self.names: dict[int, PeriodName] = {}  # also of those that are forgotten
        self.gateways = [Gateway(), Gateway()]
        self.granted: list[dict[str, Any]] = []
        self.runner = asyncio.Runner()
        self.hot = HotConnection(database.url, name="simulator")

    def close(self) -> None:
        self.runner.run(self.hot.close())
        self.runner.close()

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
            self.names[opened["id"]] = name
            cap = self.books.caps[key.budget_id]
            scope = key.unit_id or cap.unit_id or str(self.organization.id)
            self.books.open_window(
                name, scope, datetime.fromisoformat(key.starts_at), datetime.fromisoformat(key.ends_at)
            )
        return name

    def _request(self, gateway: Gateway, approval: str | None = None) -> dict[str, Any]:
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
        if approval is not None:
            fields["approval_id"] = approval
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
            asked.get("approval_id"),
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
        periods = self.connection.execute(
            "SELECT id, settled, reserved, seeded, is_seeding FROM budgets_period"
        ).fetchall()
        assert {self.names[id]: tuple(row) for id, *row in periods} == {
            name: (window.settled, window.reserved, window.seeded, window.is_seeding)
            for name, window in self.books.windows.items()
        }
        held = self.connection.execute(
            "SELECT id::text, state, end_cause, is_late, booked_nanos, booked_tokens, period_ids "
            "FROM budgets_reservation"
        ).fetchall()
        assert {row[0]: (*row[1:6], {self.names[id] for id in row[6]}) for row in held} == {
            held.id: (held.state, held.cause, held.is_late, held.booked_nanos, held.booked_tokens, set(held.windows))
            for held in self.books.held.values()
        }
        entries = self.connection.execute(
            "SELECT reservation_id::text, kind, status, cause, amount_nanos, tokens FROM ledger_ledgerentry"
        ).fetchall()
        assert Counter(Entry(*row) for row in entries) == self.books.summary()
        used = self.connection.execute("SELECT approval_id::text, reservation_id::text FROM policies_approvaluse")
        assert dict(used.fetchall()) == self.books.used_approvals
