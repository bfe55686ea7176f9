import pytest

from apps.policies import contents
from apps.policies.contents import Alert, Allowlist, PerRequestLimit, ReviewAbove
from spendra.kernel.errors import Invalid


def test_each_kind_is_stored_in_one_way() -> None:
    for kind, written, stored in (
        ("allowlist", {"models": ["gpt-4.1"], "tools": []}, {"models": ["openai/gpt-4.1"], "tools": []}),
        ("per_request_limit", {"max_usd": "2.50"}, {"max_nanos": "2500000000"}),
        ("per_request_limit", {"max_nanos": 5, "max_output_tokens": 9}, {"max_nanos": "5", "max_output_tokens": 9}),
        ("review", {"above_usd": "2"}, {"above_nanos": "2000000000"}),
        ("review", {}, {}),
        ("alert", {"thresholds": [100, 80, 80]}, {"thresholds": [80, 100]}),
    ):
        parsed = contents.parse(kind, written)
        assert parsed.as_json() == stored
        assert contents.parse(kind, stored) == parsed
    assert contents.parse("allowlist", {"tools": ["*"]}) == Allowlist(tools=("*",))
    assert contents.parse("per_request_limit", {"max_input_tokens": 0}) == PerRequestLimit(max_input_tokens=0)
    assert contents.parse("review", {"above_nanos": "0"}) == ReviewAbove(0)
    assert contents.parse("alert", {"thresholds": [120]}) == Alert((120,))


@pytest.mark.parametrize(
    ("kind", "data", "sentence"),
    [
        ("denylist", {}, "'denylist' is no kind of policy: choose among allowlist, per_request_limit, review, alert."),
        ("allowlist", [], "A rule is an object"),
        ("allowlist", {}, "An allowlist needs models, tools or endpoints."),
        ("allowlist", {"model": []}, "has no 'model': use models, tools, endpoints."),
        ("allowlist", {"models": ["a b"]}, "rule.models: 'a b' is no model"),
        ("allowlist", {"endpoints": ["/v1/chat"]}, "'/v1/chat' is no endpoint"),
        ("per_request_limit", {}, "A limit needs"),
        ("per_request_limit", {"max_usd": "2,50"}, "max_usd must be an amount in text"),
        ("per_request_limit", {"max_usd": 2.5}, "max_usd must be an amount in text"),
        ("per_request_limit", {"max_usd": "-1"}, "max_usd must be an amount in text"),
        ("per_request_limit", {"max_nanos": 2.5}, "max_nanos must be an amount in text"),
        ("per_request_limit", {"max_nanos": "1" * 17}, "max_nanos must be an amount in text"),
        ("per_request_limit", {"max_nanos": 10**15 + 1}, "max_nanos must be an amount in text"),
        ("per_request_limit", {"max_nanos": "1", "max_usd": "1"}, "Give max_usd or max_nanos, not both."),
        ("per_request_limit", {"max_output_tokens": "9"}, "max_output_tokens must be a whole number"),
        ("per_request_limit", {"max_output_tokens": True}, "max_output_tokens must be a whole number"),
        ("per_request_limit", {"max_input_tokens": None}, "max_input_tokens must be a whole number"),
        ("review", {"above": "2"}, "has no 'above'"),
        ("review", {"above_nanos": None}, "above_nanos must be an amount"),
        ("alert", {}, "An alert needs thresholds"),
        ("alert", {"thresholds": []}, "An alert needs thresholds"),
        ("alert", {"thresholds": [80.5]}, "A threshold is a whole percentage"),
        ("alert", {"thresholds": [0]}, "A threshold is a whole percentage"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(kind: str, data: object, sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        contents.parse(kind, data)
    assert sentence in refused.value.message
