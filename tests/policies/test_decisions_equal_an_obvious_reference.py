"""`decide` and what a gateway prepares for it, against a slow reading of the page docs/policies.md."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.policies import evaluation, stored
from apps.policies.types import Decision, PolicyRule, RequestView
from tests.policies.building import ACME, BOT, NOON, OTHER_TEAM, TEAM, make_request

HOURS = (None, -2, -1, 0, 1, 2)
PATTERNS = ("openai/gpt-4.1", "openai/gpt-*", "*/*", "anthropic/*", "openai/*mini", "openai/latest", "o*/gpt-4.1*")
TOOLS = ("web_search", "web_search_preview", "code_interpreter", "mcp")
TOOL_PATTERNS = ("web_search", "web_*", "*", "mcp")


@dataclass(frozen=True)
class Written:
    """A rule as its author wrote it."""

    kind: str
    selector: dict[str, list[str]]
    rule: dict[str, object]
    unit: UUID | None
    is_shadow: bool
    starts: datetime | None
    ends: datetime | None


def some(values: tuple[str, ...], *, least: int = 0) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=least, max_size=2)


def dates() -> st.SearchStrategy[datetime | None]:
    return st.sampled_from(HOURS).map(lambda hours: None if hours is None else NOON + timedelta(hours=hours))


def written() -> st.SearchStrategy[Written]:
    lists = st.fixed_dictionaries(
        {}, optional={"models": some(PATTERNS), "tools": some(TOOL_PATTERNS), "endpoints": some(("chat.completions",))}
    )
    amounts = st.integers(0, 3)
    limits = st.fixed_dictionaries(
        {},
        optional={
            "max_nanos": amounts.map(str),
            "max_input_tokens": amounts,
            "max_output_tokens": amounts,
        },
    )
    above = st.fixed_dictionaries({}, optional={"above_nanos": amounts.map(str)})
    alerts = st.just({"thresholds": [80]})
    unknown = st.sampled_from([("from_the_future", {}), ("allowlist", {"hats": ["red"]})])
    said = st.one_of(
        lists.filter(bool).map(lambda rule: ("allowlist", rule)),
        limits.filter(bool).map(lambda rule: ("per_request_limit", rule)),
        above.map(lambda rule: ("review", rule)),
        alerts.map(lambda rule: ("alert", rule)),
        unknown,
    )
    selector = st.fixed_dictionaries(
        {},
        optional={
            "models": some(PATTERNS),
            "tools": some(TOOL_PATTERNS),
            "environments": some(("production", "staging")),
            "key_ids": some(("key1", "key2")),
            "actor_kinds": some(("agent", "employee")),
        },
    )
    return st.builds(
        lambda said, selector, unit, is_shadow, starts, ends: Written(*said[:1], selector, said[1], unit, is_shadow,
                                                                      starts, ends),
        said, selector, st.sampled_from((None, ACME, TEAM, BOT, OTHER_TEAM)), st.booleans(), dates(), dates(),
    )  # fmt: skip


def requests() -> st.SearchStrategy[RequestView]:
    models = (("openai", "gpt-4.1", "latest"), ("openai", "gpt-4.1-mini", "gpt-4.1-mini"),
              ("anthropic", "claude", "claude"))  # fmt: skip
    amounts = st.integers(0, 3)
    return st.builds(
        lambda names, tools, environment, key, kind, scopes, amounts: make_request(
            provider=names[0], model=names[1], named_model=names[2], tools=tools, environment=environment, key_id=key,
            actor_kind=kind, scope_ids=scopes, nanos=amounts[0], input_tokens=amounts[1], output_tokens=amounts[2],
        ),
        st.sampled_from(models),
        st.none() | st.frozensets(st.sampled_from(TOOLS)),
        st.sampled_from(("production", "staging")),
        st.sampled_from(("key1", "key2")),
        st.sampled_from(("agent", "employee")),
        st.sampled_from(((ACME,), (ACME, TEAM), (ACME, TEAM, BOT), (ACME, OTHER_TEAM, BOT))),
        st.tuples(amounts, amounts, amounts),
    )  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(st.lists(written(), max_size=8), requests())
def test_a_decision_is_that_of_the_reference(said: list[Written], request: RequestView) -> None:
    rules = [rule_of(number, one) for number, one in enumerate(said)]
    decision = evaluation.decide(rules, request, NOON)
    effects = [reference(one, request) for one in said]
    in_force = [effect for one, effect in zip(said, effects, strict=True) if not one.is_shadow]
    assert decision.effect == ("deny" if "deny" in in_force else "review" if "review" in in_force else "allow")
    assert told(decision) == {
        (UUID(int=number), effect, one.is_shadow)
        for number, (one, effect) in enumerate(zip(said, effects, strict=True))
        if effect != "allow"
    }


@settings(max_examples=100, deadline=None)
@given(st.lists(written(), max_size=8), requests(), st.integers(-150, 150))
def test_what_a_gateway_prepares_for_a_route_decides_the_same(
    said: list[Written], request: RequestView, minutes: int
) -> None:
    rules = [rule_of(number, one) for number, one in enumerate(said)]
    of_route = replace(request, tools=frozenset(), nanos=0, input_tokens=0, output_tokens=0)
    in_scope = evaluation.in_scope(evaluation.rules_by_scope(rules), request.scope_ids)
    window = evaluation.window_of(evaluation.applicable(in_scope, of_route), NOON)
    at = NOON + timedelta(minutes=minutes)
    if (window.since is None or window.since <= at) and (window.until is None or at < window.until):
        prepared, whole = evaluation.evaluate(window.rules, request), evaluation.decide(rules, request, at)
        assert (prepared.effect, told(prepared)) == (whole.effect, told(whole))


@settings(max_examples=100, deadline=None)
@given(st.lists(written(), max_size=8), requests())
def test_an_explanation_says_of_every_rule_what_the_decision_did(said: list[Written], request: RequestView) -> None:
    rules = [rule_of(number, one) for number, one in enumerate(said)]
    explained = evaluation.explain(rules, request, NOON)
    assert [one.rule for one in explained] == rules
    decision = evaluation.decide(rules, request, NOON)
    reasons = {one.rule.version_id: one.reason for one in explained if one.outcome in FIRING}
    assert reasons == {fired.version_id: fired.reason for fired in (*decision.fired, *decision.shadow)}
    assert all(one.reason.endswith(".") for one in explained)


FIRING = {"denied", "review", "undecidable"}


def rule_of(number: int, said: Written) -> PolicyRule:
    instants = [None if at is None else at.isoformat() for at in (said.starts, said.ends)]
    unit = None if said.unit is None else str(said.unit)
    version, policy = str(UUID(int=number)), str(UUID(int=1000 + number))
    return stored.policy_rule(
        [version, policy, f"rule {number}", 1, said.kind, unit, said.selector, said.rule, said.is_shadow, *instants]
    )


def told(decision: Decision) -> set[tuple[UUID, str, bool]]:
    return {(fired.version_id, fired.effect, fired.is_shadow) for fired in (*decision.fired, *decision.shadow)}


def reference(said: Written, request: RequestView) -> str:
    if said.unit is not None and said.unit not in request.scope_ids:
        return "allow"
    if (said.starts is not None and said.starts > NOON) or (said.ends is not None and said.ends <= NOON):
        return "allow"
    selected = selects(said.selector, request)
    if said.kind == "alert" or selected == "no":
        return "allow"
    if selected == "unknown" or said.kind == "from_the_future" or "hats" in said.rule:
        return "deny"
    if said.kind == "review":
        above = said.rule.get("above_nanos")
        return "review" if above is None or request.nanos > int(str(above)) else "allow"
    if said.kind == "per_request_limit":
        asked = {"max_nanos": request.nanos, "max_input_tokens": request.input_tokens,
                 "max_output_tokens": request.output_tokens}  # fmt: skip
        return "deny" if any(asked[name] > int(str(most)) for name, most in said.rule.items()) else "allow"
    return "allow" if is_allowed(said.rule, request) else "deny"


def selects(selector: dict[str, list[str]], request: RequestView) -> str:
    for name, value in (("environments", request.environment), ("key_ids", request.key_id),
                        ("actor_kinds", request.actor_kind)):  # fmt: skip
        if selector.get(name) and value not in selector[name]:
            return "no"
    if selector.get("models") and not names_model(selector["models"], request):
        return "no"
    if not selector.get("tools"):
        return "yes"
    if request.tools is None:
        return "unknown"
    return "yes" if any(glob(pattern, tool) for pattern in selector["tools"] for tool in request.tools) else "no"


def is_allowed(rule: dict[str, object], request: RequestView) -> bool:
    for name, listed in rule.items():
        assert isinstance(listed, list)
        if name == "models" and not names_model(listed, request):
            return False
        if name == "endpoints" and request.endpoint not in listed:
            return False
        if name == "tools" and (
            request.tools is None or not all(any(glob(pattern, tool) for pattern in listed) for tool in request.tools)
        ):
            return False
    return True


def names_model(patterns: list[str], request: RequestView) -> bool:
    for pattern in patterns:
        provider, _, model = pattern.partition("/")
        if glob(provider, request.provider) and (glob(model, request.model) or glob(model, request.named_model)):
            return True
    return False


def glob(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return glob(pattern[1:], text) or (bool(text) and glob(pattern, text[1:]))
    return bool(text) and pattern[0] == text[0] and glob(pattern[1:], text[1:])
