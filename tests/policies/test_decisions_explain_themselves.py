from dataclasses import replace
from datetime import timedelta

import pytest

from apps.policies import evaluation
from apps.policies.contents import Unreadable
from apps.policies.types import PolicyRule
from tests.policies.building import NOON, OTHER_TEAM, make_request, make_rule

SENTENCES = (
    (
        make_rule("allowlist", {"models": ["openai/gpt-4.1-mini", "anthropic/*"]}, name="cheap"),
        make_request(),
        "The policy 'cheap' (version 1) allows only openai/gpt-4.1-mini, anthropic/*, not openai/gpt-4.1.",
    ),
    (make_rule("allowlist", {"models": []}), make_request(), "The policy 'rule' (version 1) allows no model."),
    (
        make_rule("allowlist", {"tools": ["web_search"]}),
        make_request(tools=frozenset({"web_search", "mcp", "code_interpreter"})),
        "The policy 'rule' (version 1) allows only the hosted tools web_search, not code_interpreter, mcp.",
    ),
    (
        make_rule("allowlist", {"tools": []}),
        make_request(tools=frozenset({"mcp"})),
        "The policy 'rule' (version 1) allows no hosted tools, not mcp.",
    ),
    (
        make_rule("allowlist", {"tools": ["web_search"]}),
        make_request(tools=None),
        "The policy 'rule' (version 1) allows only the hosted tools web_search, and which ones this request uses can't "
        "be told.",
    ),
    (
        make_rule("allowlist", {"endpoints": ["responses"]}),
        make_request(),
        "The policy 'rule' (version 1) allows only the endpoints responses, not chat.completions.",
    ),
    (
        make_rule("per_request_limit", {"max_usd": "2.00"}),
        make_request(nanos=15_360_000_000),
        "The policy 'rule' (version 1) allows 2.00 USD a request; this one may cost 15.36 USD. A lower output limit or "
        "a cheaper model costs less.",
    ),
    (
        make_rule("per_request_limit", {"max_input_tokens": 999}),
        make_request(),
        "The policy 'rule' (version 1) allows 999 input tokens a request; this one may have 1000.",
    ),
    (
        make_rule("per_request_limit", {"max_output_tokens": 999}),
        make_request(),
        "The policy 'rule' (version 1) allows 999 output tokens a request; this one may have 1000. Set a lower output "
        "limit.",
    ),
    (
        make_rule("review", {"above_usd": "0.50"}),
        make_request(),
        "The policy 'rule' (version 1) asks for a review above 0.50 USD a request; this one may cost 1.00 USD.",
    ),
    (
        make_rule("review", {}),
        make_request(),
        "The policy 'rule' (version 1) asks for a review of every request like this one.",
    ),
    (
        make_rule("review", {}, selector={"tools": ["web_*"]}),
        make_request(tools=None),
        "The policy 'rule' (version 1) is for requests with web_*, and whether this is one can't be told, so it "
        "denies.",
    ),
)


@pytest.mark.parametrize(("rule", "request_view", "sentence"), SENTENCES)
def test_a_refusal_says_which_rule_and_why(rule: PolicyRule, request_view: object, sentence: str) -> None:
    decision = evaluation.decide([rule], request_view, NOON)
    assert [fired.reason for fired in decision.fired] == [sentence]
    assert evaluation.explain([rule], request_view, NOON)[0].reason == sentence


def test_a_rule_that_had_nothing_to_say_tells_why() -> None:
    later, earlier = NOON + timedelta(hours=1), NOON - timedelta(hours=1)
    rules = [
        make_rule("review", {}, unit_id=OTHER_TEAM),
        make_rule("review", {}, effective_from=later),
        make_rule("review", {}, effective_until=earlier),
        make_rule("review", {}, selector={"environments": ["staging"]}),
        make_rule("review", {}, selector={"models": ["anthropic/*"]}),
        make_rule("review", {}, selector={"tools": ["mcp"]}),
        make_rule("review", {"above_usd": "1.00"}),
        make_rule("allowlist", {"models": ["openai/*"], "tools": []}),
        make_rule("per_request_limit", {"max_usd": "1.00", "max_output_tokens": 5000}),
        make_rule("alert", {"thresholds": [100, 80]}),
    ]
    explained = evaluation.explain(rules, make_request(), NOON)
    assert [(one.outcome, one.reason) for one in explained] == [
        ("not_in_scope", "It is for a unit that is not among the scopes of this request."),
        ("not_yet", "It begins at 2027-03-01 13:00 UTC."),
        ("ended", "It ended at 2027-03-01 11:00 UTC."),
        ("not_selected", "It is for staging; this key's environment is production."),
        ("not_selected", "It is for anthropic/*; the request is for openai/gpt-4.1."),
        ("not_selected", "It is for requests with mcp; this one has none."),
        ("passed", "1.00 USD is not above 1.00 USD."),
        ("passed", "All that the request asks for is allowed: models openai/*; hosted tools none."),
        ("passed", "The request is within 1.00 USD, 5000 output tokens: it may cost 1.00 USD."),
        ("alerts_only", "It writes an alert at 80 %, 100 % of a budget, and decides nothing."),
    ]
    assert evaluation.decide(rules, make_request(), NOON).effect == "allow"


def test_a_denial_goes_before_a_review_and_shadow_changes_nothing() -> None:
    review, denial = make_rule("review", {}), make_rule("allowlist", {"models": []})
    shadow = make_rule("allowlist", {"models": []}, is_shadow=True)
    decision = evaluation.decide([review, denial, shadow], make_request(), NOON)
    assert decision.effect == "deny"
    assert [fired.effect for fired in decision.fired] == ["deny", "review"]
    assert [fired.is_shadow for fired in decision.shadow] == [True]
    assert evaluation.decide([review, shadow], make_request(), NOON).effect == "review"
    assert evaluation.decide([shadow], make_request(), NOON).effect == "allow"


def test_what_cannot_be_read_denies() -> None:
    unknown = make_rule("review", {"above_usd": "9.00"})
    unreadable = replace(unknown, content=Unreadable("'lottery' is no kind of policy."))
    decision = evaluation.decide([unreadable], make_request(), NOON)
    assert decision.effect == "deny"
    assert "can't read, so it denies: 'lottery' is no kind" in decision.fired[0].reason
    unselectable = replace(unknown, selector=None)
    assert evaluation.decide([unselectable], make_request(), NOON).effect == "deny"


def test_a_long_list_is_told_by_its_beginning() -> None:
    rule = make_rule("allowlist", {"models": [f"openai/m{number}" for number in range(40)]})
    (fired,) = evaluation.decide([rule], make_request(), NOON).fired
    assert "openai/m7 and 32 more, not openai/gpt-4.1." in fired.reason
    long = make_request(tools=frozenset({"x" * 5000}))
    (fired,) = evaluation.decide([make_rule("allowlist", {"tools": []})], long, NOON).fired
    assert len(fired.reason) < 200
