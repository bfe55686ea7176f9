import pytest

from apps.policies import selectors
from apps.policies.selectors import Selector
from spendra.kernel.errors import Invalid
from tests.policies.building import make_request


def test_each_member_narrows_and_an_empty_one_does_not() -> None:
    assert selectors.parse({}).matches(make_request()) is True
    assert selectors.parse({"models": [], "tools": []}) == Selector()
    both = selectors.parse({"environments": ["production"], "actor_kinds": ["agent", "employee"]})
    assert both.matches(make_request()) is True
    assert both.matches(make_request(environment="staging")) is False
    assert both.matches(make_request(actor_kind="automation")) is False
    assert selectors.parse({"key_ids": ["key2"]}).matches(make_request()) is False


def test_a_model_is_matched_by_the_name_asked_for_and_by_the_catalogs() -> None:
    asked = make_request(named_model="gpt-4.1-2025-04-14")
    for pattern in ("gpt-4.1", "openai/gpt-4.1-2025-*", "OpenAI/*", "*/gpt-4.1", "*/*"):
        assert selectors.parse({"models": [pattern]}).matches(asked) is True, pattern
    for pattern in ("gpt-4.1-mini", "anthropic/*", "openai/gpt-4"):
        assert selectors.parse({"models": [pattern]}).matches(asked) is False, pattern


def test_one_hosted_tool_is_enough_and_unknown_ones_are_undecidable() -> None:
    searching = selectors.parse({"tools": ["web_search*", "mcp"]})
    assert searching.matches(make_request(tools=frozenset({"web_search_preview", "image_generation"}))) is True
    assert searching.matches(make_request(tools=frozenset({"image_generation"}))) is False
    assert searching.matches(make_request(tools=frozenset())) is False
    assert searching.matches(make_request(tools=None)) is None
    assert selectors.parse({"tools": ["*"]}).matches(make_request(tools=frozenset({"anything"}))) is True
    assert selectors.parse({"tools": ["*"]}).matches(make_request()) is False


def test_what_else_decides_goes_before_what_is_unknown() -> None:
    selector = selectors.parse({"tools": ["mcp"], "environments": ["staging"]})
    assert selector.matches(make_request(tools=None)) is False


def test_a_selector_comes_back_as_it_was_written() -> None:
    written = {"models": ["gpt-4.1", "gpt-4.1", "anthropic/*"], "environments": ["staging"], "tools": []}
    parsed = selectors.parse(written)
    assert parsed.as_json() == {"models": ["openai/gpt-4.1", "anthropic/*"], "environments": ["staging"]}
    assert selectors.parse(parsed.as_json()) == parsed


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ([], "A selector is an object"),
        ("production", "A selector is an object"),
        ({"model": ["gpt-4.1"]}, "A selector has no 'model': use models, tools, environments, key_ids, actor_kinds."),
        ({"models": "gpt-4.1"}, "selector.models must be a list of texts."),
        ({"models": [7]}, "selector.models must be a list of texts."),
        ({"models": None}, "selector.models must be a list of texts."),
        ({"models": ["open ai/x"]}, "selector.models: 'open ai/x' is no model: write provider/model"),
        ({"environments": ["prod"]}, "'prod' is no environment: choose among production, staging, development."),
        ({"actor_kinds": ["team"]}, "'team' is no kind of actor: choose among agent, automation, employee, subagent."),
        ({"tools": ["Web Search"]}, "'Web Search' is no type of a hosted tool"),
        ({"key_ids": ["spk_live_abc"]}, "A key is named by its id"),
        ({"key_ids": ["k"] * 201}, "selector.key_ids has 201 entries: 200 are the most."),
    ],
)
def test_what_is_no_selector_is_refused_by_its_name(data: object, sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        selectors.parse(data)
    assert sentence in refused.value.message
    assert refused.value.param == "selector"
