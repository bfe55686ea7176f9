"""For any graph of units, policies, budgets and caps: whether a request passes, and if not, by which rule or cap it is
stopped, is what a slow and obvious reading says. Rules are rows that are loaded, and Postgres reserves."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import cast
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.budgets import maintenance, reserving, settling
from apps.budgets.connecting import HotConnection
from apps.budgets.types import ReservationRequest
from apps.gateway import refusals
from apps.gateway.admission import reservation_of
from apps.gateway.booking import Spent, ending_of
from apps.gateway.deciding import Decided, decide
from apps.gateway.estimates import Estimate
from apps.gateway.routing import Route, find_route
from apps.gateway.rules import BudgetRule
from apps.gateway.rules_loading import RulesLoader
from apps.gateway.windows import PeriodBook
from spendra.kernel.errors import Frozen, Refused
from tests.budgets import money
from tests.databases import Database
from tests.gateway.stored_worlds import store
from tests.gateway_pure.snapshots import ACME, KEY_ID, MODEL, NOON, make_budget, unit_id
from tests.gateway_pure.test_requests_are_decided_as_an_obvious_reference_says import (
    ACTOR,
    CATALOG,
    PROJECT,
    Asked,
    World,
    counted,
    expected,
    is_now,
    reachable,
    requests,
    says,
    worlds,
)

Counter = tuple[UUID, UUID | None]


@dataclass(frozen=True)
class Turn:
    asked: Asked
    fate: str  # of what passes
    cost: int


@dataclass(frozen=True)
class Told:
    """`pass`, or the code of the refusal. `rules` are the versions that had something against it, with what they said;
    `cap` the one that is named."""

    code: str
    rules: frozenset[tuple[UUID, str, bool]] = frozenset()
    cap: Counter | None = None


turns = st.builds(Turn, requests, st.sampled_from(["settle", "void", "nothing"]), st.integers(0, 4))
amounts = st.lists(st.integers(0, 5), min_size=5, max_size=5)


@st.composite
def tight_worlds(draw: st.DrawFn) -> World:
    """With little that stops every request alike, and hard budgets of which several may be full."""
    budgets = [
        make_budget(
            number,
            unit=draw(st.sampled_from([None, None, ACTOR, *range(PROJECT)])),
            applies_to_each=draw(st.sampled_from(["", "", "agent"])),
            measure=draw(st.sampled_from(["nanos", "requests"])),
            period_kind=draw(st.sampled_from(["minute", "month"])),
        )
        for number in range(draw(st.integers(2, 5)))
    ]
    world = draw(worlds)
    policies = world.policies[:1]
    return replace(world, budgets=budgets, policies=policies, freezes=[], requires_cap=False, most=None)


class Gateway:
    """What a gateway makes of a request once it has been parsed and estimated, in this process."""

    def __init__(self, database: Database) -> None:
        self.connection = database.connect()
        self.connection.execute(
            "CREATE OR REPLACE FUNCTION spendra_now_v1() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
            f"'SELECT timestamptz ''{NOON.isoformat()}'''"
        )
        maintenance.ensure_partitions()
        self._runner = asyncio.Runner()
        self._line = HotConnection(database.url, name="reference")
        self._loader = RulesLoader(database.url)

    def close(self) -> None:
        self._loader.close()
        self._runner.run(self._line.close())
        self._runner.close()

    def load(self) -> None:
        rules = self._loader.organization(ACME)
        assert rules is not None
        self._rules = rules
        self._catalog = replace(CATALOG, token=self._loader.catalog().token)
        self._periods = PeriodBook(self._line)

    def ask(self, turn: Turn) -> Told:
        used: set[UUID] = set()
        while True:
            try:
                decided = self._decide(turn.asked, used)
            except Frozen:
                return Told("frozen")
            rules = frozenset(
                (one.version_id, one.effect, one.is_shadow)
                for one in (*decided.decision.fired, *decided.decision.shadow)
            )
            if decided.refusal is not None:
                return Told(decided.refusal.code, rules)
            told = self._reserve(decided, turn)
            if told is not None:
                return replace(told, rules=rules)
            assert decided.approval is not None
            used.add(decided.approval.id)

    def _decide(self, asked: Asked, used: set[UUID]) -> Decided:
        key = self._rules.keys[KEY_ID]
        route = find_route(self._rules, self._catalog, key, provider="openai", model=MODEL, at=NOON)
        estimate = Estimate(asked.tokens, 1, 1, asked.nanos, is_default_output=False)
        return decide(route, estimate, tools=asked.tools, at=NOON, used=used)

    def _reserve(self, decided: Decided, turn: Turn) -> Told | None:
        """None where its approval was used by another."""
        window = self._runner.run(self._periods.window(decided.route, decided.choice, NOON))
        wanted = reservation_of(decided, window, request_id="req", process_id=money.PROCESS, lifetime_seconds=600)
        _, [verdict] = self._runner.run(reserving.reserve(self._line, [wanted]))
        assert not isinstance(verdict, Exception), verdict
        if verdict["verdict"] == "approval_used":
            return None
        if verdict["verdict"] == "granted":
            self._end(wanted, turn)
            return Told("pass")
        refusal = refusals.from_verdict(verdict, decided.route, window, decided.estimate, NOON)
        return Told(refusal.code, cap=_named(refusal, decided.route))

    def _end(self, reservation: ReservationRequest, turn: Turn) -> None:
        if turn.fate == "settle":
            spent = Spent(turn.cost, 2, "final", MODEL, {}, None)
            self._runner.run(settling.settle(self._line, [ending_of(reservation, kind="settle", spent=spent)]))
        elif turn.fate == "void":
            self._runner.run(settling.settle(self._line, [ending_of(reservation, kind="void")]))


def _named(refusal: Refused, route: Route) -> Counter:
    budget = route.rules.budgets[UUID(cast("str", refusal.details["rule"]))]
    return budget.id, UUID(cast("str", refusal.details["scope_id"])) if budget.applies_to_each else None


@dataclass
class Books:
    """The reference: what is spent and held in each counter, and which approvals are used."""

    world: World
    caps: dict[UUID, int]
    settled: dict[Counter, int] = field(default_factory=lambda: defaultdict(int))
    held: dict[Counter, int] = field(default_factory=lambda: defaultdict(int))
    used: set[UUID] = field(default_factory=set)

    def ask(self, turn: Turn) -> tuple[str, set[Counter]]:
        """The code, and the caps of which one must be named."""
        code = expected(self.world, turn.asked)
        if code != "pass":
            return code, set()
        code, caps = self._by_caps(turn.asked)
        if code == "pass" and self._needs_review(turn.asked):
            approval = self._approval(turn.asked)
            if approval is None:
                return "review_required", set()
            if turn.fate != "void":
                self.used.add(approval)
        if code == "pass":
            self._count(turn)
        return code, caps

    def fired(self, asked: Asked) -> set[tuple[UUID, str, bool]]:
        scopes = {None, *map(unit_id, reachable(self.world))}
        return {
            (rule.version_id, effect, rule.is_shadow)
            for rule in self.world.policies
            if rule.unit_id in scopes and is_now(rule.effective_from, rule.effective_until)
            if (effect := says(rule, asked)) != "pass"
        }

    def _counters(self, asked: Asked) -> Iterator[tuple[Counter, BudgetRule, int]]:
        budgets = {budget.id: budget for budget in self.world.budgets}
        for counter in counted(self.world, asked):
            budget = budgets[counter[0]]
            if is_now(budget.fixed_starts_at, budget.fixed_ends_at):
                yield counter, budget, asked.nanos if budget.measure == "nanos" else 1

    def _by_caps(self, asked: Asked) -> tuple[str, set[Counter]]:
        """The worst first, and of the worst the tightest; rates of one window are full for the same time."""
        rooms: dict[str, dict[Counter, int]] = defaultdict(dict)
        for counter, budget, amount in self._counters(asked):
            is_rate = budget.measure == "requests" and budget.period_kind == "minute"
            free = self.caps[budget.id] - self.settled[counter]
            if not budget.is_hard or amount <= free - self.held[counter]:
                continue
            if is_rate and amount <= self.caps[budget.id]:
                rooms["rate_limited"][counter] = 0
            elif amount > free:
                rooms["budget_exceeded"][counter] = free
            else:
                rooms["budget_in_flight"][counter] = free - self.held[counter]
        for code in ("budget_exceeded", "rate_limited", "budget_in_flight"):
            if found := rooms[code]:
                return code, {counter for counter, room in found.items() if room == min(found.values())}
        return "pass", set()

    def _needs_review(self, asked: Asked) -> bool:
        return any(effect == "review" and not is_shadow for _, effect, is_shadow in self.fired(asked))

    def _approval(self, asked: Asked) -> UUID | None:
        """The narrowest that is not used."""
        usable = [
            (one.max_nanos, one.valid_until, one.id)
            for one in self.world.approvals
            if one.key_id == KEY_ID
            and asked.nanos <= one.max_nanos
            and one.valid_until > NOON
            and one.id not in self.used
        ]
        return min(usable)[2] if usable else None

    def _count(self, turn: Turn) -> None:
        for counter, budget, amount in self._counters(turn.asked):
            if turn.fate == "nothing":
                self.held[counter] += amount
            elif turn.fate == "settle":
                self.settled[counter] += turn.cost if budget.measure == "nanos" else 1


@pytest.fixture
def gateway(database: Database) -> Iterator[Gateway]:
    gateway = Gateway(database)
    yield gateway
    gateway.close()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=tight_worlds() | worlds, amounts=amounts, asked=st.lists(turns, min_size=3, max_size=8))
def test_a_world_of_rows(gateway: Gateway, world: World, amounts: list[int], asked: list[Turn]) -> None:
    policies = [rule for rule in world.policies if not _is_never(rule.effective_from, rule.effective_until)]
    books = Books(replace(world, policies=policies), {budget.id: amounts[n] for n, budget in enumerate(world.budgets)})
    store(books.world, books.caps)
    gateway.load()
    for turn in asked:
        told = gateway.ask(turn)
        code, caps = books.ask(turn)
        assert told.code == code
        assert told.cap in (caps or {None})
        assert told.rules == (books.fired(turn.asked) if code != "frozen" else set())


def _is_never(starts: object, ends: object) -> bool:
    """The database refuses such dates."""
    return starts is not None and ends is not None and starts >= ends  # type: ignore[operator]
