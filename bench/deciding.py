"""What a decision costs, without Postgres and without a wire: `python -m bench.deciding`.

A company of ten thousand keys, five thousand units, five thousand budgets and two thousand policies, in memory as a
gateway holds it. Prints microseconds of one core, medians of several runs. Exits 1 where a goal is missed.
"""

import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import django
import orjson

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "spendra.settings.test")
django.setup()
# ruff: noqa: E402

from apps.catalog.types import CatalogEntry, CatalogSnapshot, StoredVersion
from apps.gateway.deciding import Decided, decide
from apps.gateway.estimates import estimate_of
from apps.gateway.parsing import ChatRequest, parse_chat_request
from apps.gateway.routing import Route, find_route
from apps.gateway.rules import AccountRule, BudgetRule, CatalogRules, KeyRule, OrganizationRules, UnitRule
from apps.gateway.rules_indexes import indexes
from apps.policies import contents, selectors
from apps.policies.types import PolicyRule

KEYS, UNITS, BUDGETS, POLICIES = 10_000, 5_000, 5_000, 2_000
BRANCHES, TEAMS = 10, 500
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
GOAL_MICROSECONDS = 80
MOST_WITHOUT_POLICIES = 5  # more than the estimate alone
RUNS, CALLS = 7, 2_000

_ORGANIZATION = UUID(int=1)
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
    ("per_request_limit", {"max_usd": "5", "max_output_tokens": 100_000}),
    ("review", {"above_usd": "5"}),
    ("per_request_limit", {"max_input_tokens": 1_000_000}),
)
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
        unit = None if n < of_organization else _DICE.choice(above).id
        yield PolicyRule(UUID(int=100_000 + n), UUID(int=200_000 + n), f"policy {n}", 1, kind, unit,
                         selectors.parse(_SELECTORS[n // 4 % 4]), contents.parse(kind, content), n % 10 == 9, None,
                         None)  # fmt: skip


def company(*, policies: bool, of_organization: int = 20) -> OrganizationRules:
    units = _units()
    parts = {
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
    """Requests of as many keys as there are calls."""

    def __init__(self, rules: OrganizationRules, asked: ChatRequest) -> None:
        self._rules, self._catalog, self._asked = rules, catalog(), asked
        self._keys = list(rules.keys.values())

    def route(self, n: int) -> Route:
        return find_route(self._rules, self._catalog, self._keys[n], provider="openai", model="gpt-4.1-mini", at=NOW)

    def work_out(self, n: int) -> Route:
        self._rules.routes.clear()
        return self.route(n)

    def estimate(self, n: int) -> object:
        return estimate_of(self.route(n), self._asked, None)

    def decide(self, n: int) -> Decided:
        route = self.route(n)
        return decide(route, estimate_of(route, self._asked, None), tools=self._asked.tools, at=NOW)


def main() -> int:
    plain, searching = request(), request(tools=[{"type": "web_search"}, {"type": "function"}])
    without, rules, crowded = (
        company(policies=False),
        company(policies=True),
        company(policies=True, of_organization=200),
    )
    most = max(len(Load(rules, plain).route(n).policies) for n in range(CALLS))
    estimate = microseconds(Load(without, plain).estimate)
    figures = {
        "route and estimate alone, no policies": estimate,
        "and the decision, no policies": microseconds(Load(without, plain).decide),
        f"the same, 2,000 policies, at most {most} for a request": microseconds(Load(rules, plain).decide),
        "the same, with a hosted tool": microseconds(Load(rules, searching).decide),
        "the same, 200 policies of the organization": microseconds(Load(crowded, plain).decide),
        "a route worked out anew, no policies": microseconds(Load(without, plain).work_out),
        "a route worked out anew, 2,000 policies": microseconds(Load(rules, plain).work_out),
    }
    for name, figure in figures.items():
        print(f"{figure:8.1f} µs  {name}")
    values = list(figures.values())
    return int(values[1] - estimate > MOST_WITHOUT_POLICIES or max(values[2:4]) > GOAL_MICROSECONDS)


if __name__ == "__main__":
    sys.exit(main())
