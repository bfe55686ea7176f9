"""What a decision costs, without Postgres and without a wire: `python -m bench.deciding`.

A company of ten thousand keys, five thousand units, five thousand budgets and two thousand policies, in memory as a
gateway holds it. A decision is everything between a parsed request and what is asked of reserve: route, estimate,
policies, budgets and their periods, the reservation; for one that the rules refuse, the refusal. Prints microseconds of
one core, medians of several runs; with `--json` as one object. Exits 1 where a goal is missed.
"""

import argparse
import itertools
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import django
import orjson

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "spendra.settings.test")
django.setup()
# ruff: noqa: E402

from apps.catalog.types import CatalogEntry, CatalogSnapshot, StoredVersion
from apps.gateway.admission import reservation_of
from apps.gateway.deciding import Decided, decide
from apps.gateway.estimates import estimate_of
from apps.gateway.parsing import ChatRequest, parse_chat_request
from apps.gateway.routing import Route, find_route
from apps.gateway.rules import AccountRule, BudgetRule, CatalogRules, KeyRule, OrganizationRules, UnitRule
from apps.gateway.rules_indexes import indexes
from apps.gateway.windows import KnownPeriod, window_of
from apps.policies import contents, selectors
from apps.policies.types import ApprovalRule, PolicyRule
from spendra.kernel.errors import PolicyDenied, Refused, ReviewRequired

KEYS, UNITS, BUDGETS, POLICIES = 10_000, 5_000, 5_000, 2_000
BRANCHES, TEAMS = 10, 500
APPROVALS = 1_000
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
GOAL_MICROSECONDS = 80
# Of a first request of a key to a model after rules moved that its route rests on: it works the route out.
GOAL_FIRST_MICROSECONDS = 200
RUNS, CALLS = 7, 2_000

_ORGANIZATION = UUID(int=1)
_PERIOD: KnownPeriod = (7, datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
_DICE = random.Random(1)


def _units() -> list[UnitRule]:
    kinds = ["branch"] * BRANCHES + ["team"] * TEAMS + ["agent"] * (UNITS - BRANCHES - TEAMS)
    return [UnitRule(UUID(int=100 + n), kind, f"{kind} {n}", False) for n, kind in enumerate(kinds)]


def _parents(units: list[UnitRule]) -> dict[UUID, tuple[UUID, ...]]:
    """A team below a branch, an agent below a team, every fourth below two."""
    branches, teams = units[:BRANCHES], units[BRANCHES : BRANCHES + TEAMS]
    parents = {team.id: (branches[n % BRANCHES].id,) for n, team in enumerate(teams)}
    for n, agent in enumerate(units[BRANCHES + TEAMS :]):
        above = {teams[n % TEAMS].id} | ({teams[(n + 1) % TEAMS].id} if n % 4 == 0 else set())
        parents[agent.id] = tuple(sorted(above))
    return parents


def _keys(units: list[UnitRule]) -> Iterator[KeyRule]:
    agents = units[BRANCHES + TEAMS :]
    for n in range(KEYS):
        yield KeyRule(f"key{n}", "production", b"", agents[n % len(agents)].id, None, None, None, None, False,
                      ("openai/*", "anthropic/claude-*"))  # fmt: skip


def _budgets(units: list[UnitRule]) -> Iterator[BudgetRule]:
    """One a unit; every third for certain requests only, every ninth for a hosted tool."""
    for n in range(BUDGETS):
        selector = {"models": ["openai/gpt-4*"]} if n % 3 == 0 else {}
        selector |= {"tools": ["web_search*"]} if n % 9 == 0 else {}
        yield BudgetRule(UUID(int=10_000 + n), units[n % UNITS].id, "", "nanos", "month", True, None, None,
                         selectors.parse(selector))  # fmt: skip


_CONTENTS: tuple[tuple[str, dict[str, object]], ...] = (
    ("allowlist", {"models": [f"openai/gpt-{n}*" for n in range(20)], "tools": ["web_search", "file_*"]}),
    ("per_request_limit", {"max_usd": "5", "max_output_tokens": 1_000_000}),
    ("review", {"above_usd": "0.50"}),
    ("per_request_limit", {"max_input_tokens": 1_000_000}),
)
_IN_SHADOW: dict[str, object] = {"max_output_tokens": 15_000}
_SELECTORS: tuple[dict[str, list[str]], ...] = (
    {},
    {"environments": ["production"]},
    {"models": ["openai/*"], "actor_kinds": ["agent"]},
    {"environments": ["staging"]},
)


def _policies(units: list[UnitRule], *, of_organization: int) -> Iterator[PolicyRule]:
    above = units[: BRANCHES + TEAMS]
    for n in range(POLICIES):
        kind, content = _CONTENTS[n % 4]
        is_shadow = n % 10 == 9
        if is_shadow and kind == "per_request_limit":
            content = _IN_SHADOW
        unit = None if n < of_organization else _DICE.choice(above).id
        yield PolicyRule(UUID(int=100_000 + n), UUID(int=200_000 + n), f"policy {n}", 1, kind, unit,
                         selectors.parse(_SELECTORS[n // 4 % 4]), contents.parse(kind, content), is_shadow, None,
                         None)  # fmt: skip


def _approvals(keys: Mapping[str, KeyRule]) -> Iterator[ApprovalRule]:
    """Two for each of the first keys, of which only the second suffices."""
    for n, key_id in enumerate(itertools.islice(keys, APPROVALS // 2)):
        for place, nanos in enumerate((1, 10**12)):
            approval = UUID(int=300_000 + 2 * n + place)
            yield ApprovalRule(approval, key_id, "openai", "gpt-4.1-mini", nanos, NOW + timedelta(hours=1))


def company(*, policies: bool, of_organization: int = 20, approvals: bool = False) -> OrganizationRules:
    units = _units()
    parts: dict[str, Any] = {
        "units": {unit.id: unit for unit in units},
        "parents": _parents(units),
        "keys": {key.key_id: key for key in _keys(units)},
        "budgets": {budget.id: budget for budget in _budgets(units)},
        "accounts": {"openai": AccountRule("", "env:X")},
        "policies": {rule.version_id: rule for rule in _policies(units, of_organization=of_organization)},
        "freezes": {},
        "approvals": {},
    }
    if not policies:
        parts["policies"] = {}
    if approvals:
        parts["approvals"] = {approval.id: approval for approval in _approvals(parts["keys"])}
    return OrganizationRules(
        id=_ORGANIZATION, token="t", last_change=0, slug="acme", zone=ZoneInfo("Europe/Berlin"), week_starts_on=0,
        fiscal_year_starts_month=1, default_output_tokens=None, requires_cap=False, is_suspended=False, **parts,
        **indexes(parts),
    )  # fmt: skip


def catalog() -> CatalogRules:
    lines = "input 0 400000000 standard\noutput 0 1600000000 standard"
    version = StoredVersion(UUID(int=7), None, 1, datetime(1970, 1, 1, tzinfo=UTC), lines)
    entry = CatalogEntry("openai", "gpt-4.1-mini", 1_000_000, 32_000, (version,))
    return CatalogRules("t", CatalogSnapshot({("openai", entry.model): entry}))


def request(**fields: object) -> ChatRequest:
    messages = [{"role": "user", "content": "hello " * 100}]
    return parse_chat_request(
        orjson.dumps({"model": "gpt-4.1-mini", "max_tokens": 200, "messages": messages, **fields})
    )


def microseconds(work: Callable[[int], object]) -> float:
    """Of one call, whose number it is given."""
    figures = []
    for _ in range(RUNS):
        started = time.process_time()
        for n in range(CALLS):
            work(n)
        figures.append((time.process_time() - started) / CALLS * 1e6)
    return statistics.median(figures)


class Load:
    """Requests of as many keys as there are calls, or of the first `keys` of them in turn."""

    def __init__(self, rules: OrganizationRules, asked: ChatRequest, *, keys: int = CALLS) -> None:
        self._rules, self._catalog, self._asked = rules, catalog(), asked
        self._keys = list(rules.keys.values())[:keys]

    def route(self, n: int) -> Route:
        key = self._keys[n % len(self._keys)]
        return find_route(self._rules, self._catalog, key, provider="openai", model="gpt-4.1-mini", at=NOW)

    def estimate(self, n: int) -> object:
        return estimate_of(self.route(n), self._asked, None)

    def decide(self, n: int) -> Decided:
        """And, where it may pass, what is asked of reserve: its periods are known, as they are but for the first."""
        route = self.route(n)
        decided = decide(route, estimate_of(route, self._asked, None), tools=self._asked.tools, at=NOW)
        if decided.refusal is None:
            choice = decided.choice
            if choice.window is None:
                choice.window = window_of(route, NOW, dict.fromkeys(choice.budgets, _PERIOD))
            reservation_of(decided, choice.window, request_id="r", process_id="p", lifetime_seconds=600)
        return decided

    def decide_first(self, n: int) -> Decided:
        self._rules.routes.clear()
        return self.decide(n)

    def all_end_with(self, refusal: type[Refused] | None, *, cleared: bool | None = None) -> "Load":
        """Itself, once that is known: a row must be about what it says. `cleared`: without asking the policies."""
        for n in range(len(self._keys)):
            decided = self.decide(n)
            assert type(decided.refusal) is (refusal or type(None)), decided.refusal
            if cleared is not None:
                assert (decided.decision is decided.route.cleared) is cleared
        return self


@dataclass(frozen=True)
class Row:
    name: str
    microseconds: float
    bound: float

    @property
    def is_met(self) -> bool:
        return self.microseconds <= self.bound


@dataclass(frozen=True)
class Loads:
    """What is measured: requests whose routes are known, and first ones after the rules moved."""

    repeated: dict[str, Load]
    first: dict[str, Load]


def loads() -> Loads:
    plain, searching, refused = request(), request(tools=[{"type": "web_search"}]), request(tools=[{"type": "x"}])
    long, dear = request(max_tokens=20_000), request(max_tokens=30_000, n=16)
    without, rules = company(policies=False), company(policies=True)
    crowded, approving = company(policies=True, of_organization=200), company(policies=True, approvals=True)
    approved = Load(approving, dear, keys=APPROVALS // 2)
    return Loads(
        repeated={
            "no policies": Load(without, plain).all_end_with(None, cleared=True),
            "2,000 policies, far within all of them": Load(rules, plain).all_end_with(None, cleared=True),
            "a hosted tool, so that policies are asked": Load(rules, searching).all_end_with(None, cleared=False),
            "an amount above limits in shadow": Load(rules, long).all_end_with(None, cleared=False),
            "an amount that a review catches": Load(rules, dear).all_end_with(ReviewRequired),
            "the same, one of two approvals lets it pass": approved.all_end_with(None, cleared=False),
            "a hosted tool that is denied": Load(rules, refused).all_end_with(PolicyDenied),
            "200 policies of the organization are asked": Load(crowded, searching).all_end_with(None, cleared=False),
        },
        first={
            "first after the rules moved, no policies": Load(without, plain).all_end_with(None),
            "first after the rules moved, 2,000 policies": Load(rules, plain).all_end_with(None),
            "the same, and a review catches it": Load(rules, dear).all_end_with(ReviewRequired),
        },
    )


def measure() -> tuple[Row, ...]:
    asked = loads()
    return (
        *(Row(name, microseconds(load.decide), GOAL_MICROSECONDS) for name, load in asked.repeated.items()),
        *(Row(name, microseconds(load.decide_first), GOAL_FIRST_MICROSECONDS) for name, load in asked.first.items()),
    )


def most_for_a_request(rules: OrganizationRules) -> tuple[int, int]:
    """Policies and budgets."""
    routes = [Load(rules, request()).route(n) for n in range(CALLS)]
    return max(len(route.policies) for route in routes), max(len(route.budgets) for route in routes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json: bool = parser.parse_args().json
    rows = measure()
    policies, budgets = most_for_a_request(company(policies=True))
    if as_json:
        print(json.dumps({"policies": policies, "budgets": budgets, "rows": [asdict(row) for row in rows]}))
    else:
        print(f"At most {policies} policies and {budgets} budgets for a request.")
        for row in rows:
            print(f"{row.microseconds:8.1f} µs  of {row.bound:g}  {row.name}")
    return 0 if all(row.is_met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
