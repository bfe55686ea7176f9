"""Whatever the rules: a request that a clearance holds for is one that no rule, in force or in shadow, fires on."""

from hypothesis import given
from hypothesis import strategies as st

from apps.policies import evaluation
from apps.policies.clearing import clearance
from apps.policies.types import PolicyRule
from tests.policies.building import make_request, make_rule

amounts = st.integers(0, 4)
lists = st.lists(st.sampled_from(["openai/gpt-4.1", "openai/*", "anthropic/*"]), max_size=2)
tool_lists = st.lists(st.sampled_from(["web_search", "file_*", "*"]), max_size=2)
contents = st.one_of(
    st.fixed_dictionaries({}, optional={"models": lists, "tools": tool_lists, "endpoints": st.just(["responses"])})
    .filter(bool)
    .map(lambda rule: ("allowlist", rule)),
    st.fixed_dictionaries(
        {}, optional={"max_nanos": amounts.map(str), "max_input_tokens": amounts, "max_output_tokens": amounts}
    )
    .filter(bool)
    .map(lambda rule: ("per_request_limit", rule)),
    st.fixed_dictionaries({}, optional={"above_nanos": amounts.map(str)}).map(lambda rule: ("review", rule)),
    st.just(("alert", {"thresholds": [80]})),
)
selectors = st.fixed_dictionaries(
    {}, optional={"models": lists, "tools": tool_lists, "environments": st.just(["staging"])}
)
rules = st.builds(
    lambda content, selector, is_shadow: make_rule(*content, selector=selector, is_shadow=is_shadow),
    contents, selectors, st.booleans(),
)  # fmt: skip
requests = st.builds(
    make_request,
    tools=st.sampled_from([frozenset(), frozenset(), frozenset({"web_search"}), None]),
    nanos=amounts, input_tokens=amounts, output_tokens=amounts,
)  # fmt: skip


@given(rules=st.lists(rules, max_size=4), request=requests)
def test_a_clearance_never_says_more_than_the_rules(rules: list[PolicyRule], request) -> None:
    applicable = evaluation.applicable(rules, request)
    holds = clearance(applicable, request).holds(
        tools=request.tools,
        nanos=request.nanos,
        input_tokens=request.input_tokens,
        output_tokens=request.output_tokens,
    )
    decision = evaluation.evaluate(tuple(rules), request)
    fires = bool(decision.fired or decision.shadow)
    assert not (holds and fires)
    if not fires and request.tools == frozenset():
        # Nor less, but for rules that fire on no request without tools.
        assert holds or any(rule.selector and rule.selector.tools for rule in applicable)
