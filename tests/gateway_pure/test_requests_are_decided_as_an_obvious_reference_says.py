"""For any graph of units and any rules, what a gateway decides, and the budgets that it counts against, are what a slow
and obvious reading of the rules says."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.gateway.deciding import decide
from apps.gateway.estimates import Estimate
from apps.gateway.routing import find_route
from apps.gateway.rules import BudgetRule
from apps.policies import contents, selectors
from apps.policies.types import ApprovalRule, FreezeRule, PolicyRule
from spendra.kernel.errors import Frozen
from tests.gateway_pure.snapshots import ACME, KEY_ID, MODEL, NOON, make_budget, make_catalog, make_snapshot, unit_id

UNITS, ACTOR, PROJECT = 7, 6, 5
KINDS = {0: "branch", 1: "branch", 2: "team", 3: "team", 4: "team", PROJECT: "project", ACTOR: "agent"}
NAME = f"openai/{MODEL}"
CATALOG = make_catalog()
MODELS = ("openai/gpt-4.1", "openai/gpt-*", "*/*", "anthropic/*", "openai/*mini")
TOOLS = ("web_search", "web_search_preview", "mcp")
TOOL_PATTERNS = ("web_search", "web_*", "*", "mcp")


@dataclass(frozen=True)
class World:
    parents: dict[int, list[int]]
    project: int | None
    budgets: list[BudgetRule]
    policies: list[PolicyRule]
    freezes: list[FreezeRule]
    approvals: list[ApprovalRule]
    requires_cap: bool
    most: int | None


@dataclass(frozen=True)
class Asked:
    tools: frozenset[str] | None
    nanos: int
    tokens: int


# Strategies.

some_units = st.none() | st.integers(0, UNITS - 1)
hours = st.sampled_from([None, None, -2, -1, 0, 1]).map(lambda h: None if h is None else NOON + timedelta(hours=h))
amounts = st.integers(0, 3)


def some(values: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), max_size=2)


some_selectors = st.fixed_dictionaries(
    {},
    optional={
        "models": some(MODELS),
        "tools": some(TOOL_PATTERNS),
        "environments": some(("production", "staging")),
        "key_ids": some((KEY_ID, "key2")),
        "actor_kinds": some(("agent", "employee")),
    },
)
rules = st.one_of(
    st.fixed_dictionaries({}, optional={"models": some(MODELS), "tools": some(TOOL_PATTERNS)})
    .filter(bool)
    .map(lambda rule: ("allowlist", rule)),
    st.fixed_dictionaries({}, optional={"max_nanos": amounts.map(str), "max_input_tokens": amounts})
    .filter(bool)
    .map(lambda rule: ("per_request_limit", rule)),
    st.fixed_dictionaries({}, optional={"above_nanos": amounts.map(str)}).map(lambda rule: ("review", rule)),
)


@st.composite
def some_budgets(draw: st.DrawFn) -> list[BudgetRule]:
    budgets = []
    for number in range(draw(st.integers(0, 5))):
        starts = draw(hours)
        ends = None if starts is None else starts + timedelta(hours=draw(st.integers(1, 3)))
        fixed = {"fixed_starts_at": starts, "fixed_ends_at": ends, "period_kind": "fixed"} if starts else {}
        changes = {
            "applies_to_each": draw(st.sampled_from(["", "", "team", "agent"])),
            "is_hard": draw(st.booleans()),
            "measure": draw(st.sampled_from(["nanos", "requests"])),
            "period_kind": draw(st.sampled_from(["minute", "month"])),
            **fixed,
        }
        budgets.append(make_budget(number, unit=draw(some_units), selector=draw(some_selectors), **changes))
    return budgets


@st.composite
def some_policies(draw: st.DrawFn) -> list[PolicyRule]:
    return [
        PolicyRule(
            version_id=UUID(int=4000 + number),
            policy_id=UUID(int=5000 + number),
            name=f"policy {number}",
            number=1,
            kind=(said := draw(rules))[0],
            unit_id=None if (unit := draw(some_units)) is None else unit_id(unit),
            selector=selectors.parse(draw(some_selectors)),
            content=contents.parse(*said),
            is_shadow=draw(st.booleans()),
            effective_from=draw(hours),
            effective_until=draw(hours),
        )
        for number in range(draw(st.integers(0, 4)))
    ]


freezes = st.sampled_from(
    [("organization", str(ACME)), ("key", KEY_ID), ("key", "key2"), ("provider_account", "openai"),
     ("provider_account", "google"), *(("unit", str(unit_id(number))) for number in range(UNITS))]
).map(lambda target: FreezeRule(*target, "Because."))  # fmt: skip
approvals = st.builds(
    lambda number, key, most, ends: ApprovalRule(
        UUID(int=6000 + number), key, "openai", MODEL, most, ends or NOON + timedelta(hours=1)
    ),
    st.integers(0, 99), st.sampled_from([KEY_ID, KEY_ID, "key2"]), amounts, hours,
)  # fmt: skip
worlds = st.builds(
    World,
    # Parents have smaller numbers, so that there is no circle.
    parents=st.fixed_dictionaries(
        {n: st.lists(st.integers(0, n - 1), unique=True, max_size=2) for n in range(1, UNITS)}
    ),
    project=st.sampled_from([None, PROJECT]),
    budgets=some_budgets(),
    policies=some_policies(),
    freezes=st.lists(freezes, max_size=1) | st.just([]),
    approvals=st.lists(approvals, max_size=2, unique_by=lambda approval: approval.id),
    requires_cap=st.booleans(),
    most=st.none() | amounts,
)  # fmt: skip
requests = st.builds(
    Asked, tools=st.none() | st.frozensets(st.sampled_from(TOOLS), max_size=2), nanos=amounts, tokens=amounts
)


# The reference: what docs/policies.md and docs/money-and-locks.md say, one sentence after the other.


def reachable(world: World) -> set[int]:
    found: set[int] = set()
    todo = [ACTOR] if world.project is None else [ACTOR, world.project]
    while todo:
        unit = todo.pop()
        if unit not in found:
            found.add(unit)
            todo += world.parents.get(unit, [])
    return found


def is_below(world: World, unit: int, scope: int) -> bool:
    above = world.parents.get(unit, [])
    return scope in above or any(is_below(world, parent, scope) for parent in above)


def selected(selector: dict[str, list[str]], asked: Asked) -> bool | None:
    if any(
        values and not any(fnmatchcase(mine, value) for value in values)
        for name, mine in (
            ("models", NAME), ("environments", "production"), ("key_ids", KEY_ID), ("actor_kinds", "agent"),
        )
        if (values := selector.get(name))
    ):  # fmt: skip
        return False
    patterns = selector.get("tools")
    if not patterns:
        return True
    if asked.tools is None:
        return None
    return any(fnmatchcase(tool, pattern) for tool in asked.tools for pattern in patterns)


def says(rule: PolicyRule, asked: Asked) -> str:
    is_selected = selected(rule.selector.as_json(), asked) if rule.selector else None
    if is_selected is not True:
        return "pass" if is_selected is False else "deny"
    content = rule.content.as_json()  # type: ignore[union-attr]
    if rule.kind == "allowlist":
        models, tools = content.get("models"), content.get("tools")
        if models is not None and not any(fnmatchcase(NAME, model) for model in models):
            return "deny"
        if tools is not None and asked.tools is None:
            return "deny"
        allowed = [tool for tool in asked.tools or () if any(fnmatchcase(tool, pattern) for pattern in tools or ())]
        return "pass" if tools is None or len(allowed) == len(asked.tools or ()) else "deny"
    if rule.kind == "per_request_limit":
        is_above = asked.nanos > int(content.get("max_nanos", 99)) or asked.tokens > content.get("max_input_tokens", 99)
        return "deny" if is_above else "pass"
    return "pass" if "above_nanos" in content and asked.nanos <= int(content["above_nanos"]) else "review"


def counted(world: World, asked: Asked) -> set[tuple[UUID, UUID | None]]:
    units, found = reachable(world), set()
    for budget in world.budgets:
        scope = None if budget.unit_id is None else budget.unit_id.int - unit_id(0).int
        if budget.selector is not None and selected(budget.selector.as_json(), asked) is False:
            continue
        if not budget.applies_to_each:
            found |= {(budget.id, None)} if scope is None or scope in units else set()
            continue
        found |= {
            (budget.id, unit_id(unit))
            for unit in units
            if KINDS[unit] == budget.applies_to_each and (scope is None or is_below(world, unit, scope))
        }
    return found


def is_now(starts: datetime | None, ends: datetime | None) -> bool:
    return (starts is None or starts <= NOON) and (ends is None or ends > NOON)


def expected(world: World, asked: Asked) -> str:
    scopes = {None, *map(unit_id, reachable(world))}
    stopped = {str(ACME), KEY_ID, "openai", *map(str, scopes)}
    if any(freeze.target_id in stopped for freeze in world.freezes):
        return "frozen"
    said = {
        says(rule, asked)
        for rule in world.policies
        if not rule.is_shadow and rule.unit_id in scopes and is_now(rule.effective_from, rule.effective_until)
    }
    if "deny" in said:
        return "policy_denied"
    if world.most is not None and asked.nanos > world.most:
        return "reservation_too_large"
    budgets = {budget_id for budget_id, _ in counted(world, asked)}
    caps = [
        budget
        for budget in world.budgets
        if budget.id in budgets
        and budget.is_hard
        and is_now(budget.fixed_starts_at, budget.fixed_ends_at)
        and not (budget.measure == "requests" and budget.period_kind == "minute")
    ]
    if world.requires_cap and not caps:
        return "cap_required"
    usable = [one for one in world.approvals if one.key_id == KEY_ID and asked.nanos <= one.max_nanos]
    if "review" in said and not any(approval.valid_until > NOON for approval in usable):
        return "review_required"
    return "pass"


@settings(max_examples=400, deadline=None)
@given(world=worlds, asked=requests)
def test_the_decision_and_the_budgets(world: World, asked: Asked) -> None:
    snapshot = make_snapshot(
        kinds=KINDS, parents=world.parents, actor=ACTOR, project=world.project, budgets=world.budgets,
        policies=world.policies, freezes=world.freezes, approvals=world.approvals, requires_cap=world.requires_cap,
        max_reservation_nanos=world.most,
    )  # fmt: skip
    if expected(world, asked) == "frozen":
        with pytest.raises(Frozen):
            find_route(snapshot, CATALOG, snapshot.keys[KEY_ID], provider="openai", model=MODEL, at=NOON)
        return
    route = find_route(snapshot, CATALOG, snapshot.keys[KEY_ID], provider="openai", model=MODEL, at=NOON)
    assert route.valid_from <= NOON < route.valid_until
    estimate = Estimate(asked.tokens, 1, 1, asked.nanos, is_default_output=False)
    decided = decide(route, estimate, tools=asked.tools, at=NOON)
    assert (decided.refusal.code if decided.refusal else "pass") == expected(world, asked)
    assert {(one.budget.id, one.unit_id) for one in decided.choice.budgets} == counted(world, asked)
    assert len(decided.choice.budgets) == len(counted(world, asked))
