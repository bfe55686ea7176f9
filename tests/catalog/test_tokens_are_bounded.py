"""The bytes of a body bound its tokens; an exact count is never above the bound; what has no bound is refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.catalog import estimating
from apps.catalog.types import CatalogEntry, RequestFacts
from spendra.kernel.errors import ModelUnpriced
from tests.catalog.entries import entry_of, image_entries, model

GPT = entry_of(model("gpt-4.1-mini"))
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(text, min_size=1, max_size=5), st.lists(text, max_size=3), st.booleans())
def test_an_exact_count_is_at_most_the_bound(contents: list[str], tools: list[str], is_ascii: bool) -> None:
    definitions = [{"type": "function", "function": {"name": tool}} for tool in tools]
    messages = [{"role": "user", "content": content} for content in contents]
    body = json.dumps({"messages": messages, "tools": definitions}, ensure_ascii=is_ascii).encode()
    facts = RequestFacts(message_count=len(contents), tool_count=len(tools))

    exact = estimating.exact_input_tokens([*contents, *map(json.dumps, definitions)], facts, GPT)

    assert exact is not None
    assert exact <= estimating.input_bound(body, facts, GPT)


def test_the_exact_count_is_far_below_the_bound_for_prose() -> None:
    prose = "The quick brown fox jumps over the lazy dog. " * 200
    facts = RequestFacts(message_count=1)

    exact = estimating.exact_input_tokens([prose], facts, GPT)

    assert exact == 200 * 10 + 1 + estimating.REQUEST_MARGIN + estimating.MESSAGE_MARGIN
    assert exact * 4 < estimating.input_bound(prose.encode(), facts, GPT)


def test_text_that_looks_like_a_control_token_is_counted_as_text() -> None:
    margins = estimating.REQUEST_MARGIN + estimating.MESSAGE_MARGIN

    assert estimating.exact_input_tokens(["<|endoftext|>"], RequestFacts(), GPT) > margins + 1


def test_tools_add_the_instructions_that_providers_put_in_front() -> None:
    without = estimating.input_bound(b"x", RequestFacts(), GPT)

    assert estimating.input_bound(b"x", RequestFacts(tool_count=2), GPT) == without + 1_024 + 2 * 16


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("anthropic", "claude-sonnet-5"),
        ("google", "gemini-2.5-pro"),
        ("openai", "gpt-6-sol"),
        ("openrouter", "x/gpt-4"),
    ],
)
def test_a_tokenizer_that_is_not_published_gives_no_exact_count(provider: str, name: str) -> None:
    unknown = entry_of(model(name, provider=provider))

    assert estimating.exact_input_tokens(["hello"], RequestFacts(), unknown) is None


@pytest.mark.parametrize(
    ("provider", "name", "tokens"),
    [("openai", "gpt-4o", 4), ("openai", "gpt-4", 6), ("openai", "gpt-5.1", 4), ("openrouter", "openai/o3", 4)],
)
def test_each_family_has_its_vocabulary(provider: str, name: str, tokens: int) -> None:
    margins = estimating.REQUEST_MARGIN + estimating.MESSAGE_MARGIN
    known = entry_of(model(name, provider=provider))

    assert estimating.exact_input_tokens(["Привет, мир"], RequestFacts(), known) == margins + tokens


def test_images_files_and_stored_state_are_bounded_by_the_context_window() -> None:
    facts = RequestFacts(has_unbounded_input=True)

    assert estimating.input_bound(b"x" * 1_000, facts, GPT) == 128_000
    assert estimating.input_bound(b"x" * 200_000, facts, GPT) > 200_000
    assert estimating.exact_input_tokens(["x"], facts, GPT) is None


def test_they_are_refused_where_the_catalog_knows_no_context_window() -> None:
    boundless = entry_of(model(context_window=None))

    with pytest.raises(ModelUnpriced, match="no context window of openai/toy"):
        estimating.input_bound(b"{}", RequestFacts(has_unbounded_input=True), boundless)


def test_the_output_is_bounded_by_the_request_then_the_default_then_the_model() -> None:
    def bound(limit: int | None, default: int | None, entry: CatalogEntry = GPT) -> int:
        return estimating.output_bound(RequestFacts(output_limit=limit), entry, default_output_tokens=default)

    assert bound(10, 20) == 10
    assert bound(0, 20) == 0
    assert bound(None, 20) == 20
    assert bound(None, None) == 16_000
    assert bound(None, None, entry_of(model(max_output_tokens=None))) == 128_000


def test_an_output_without_any_bound_is_refused() -> None:
    boundless = entry_of(model(context_window=None, max_output_tokens=None))

    with pytest.raises(ModelUnpriced, match="set max_tokens"):
        estimating.output_bound(RequestFacts(), boundless, default_output_tokens=None)


def test_the_great_models_of_each_provider_have_limits() -> None:
    for name in [
        ("openai", "gpt-4.1"),
        ("openai", "gpt-5"),
        ("anthropic", "claude-sonnet-5"),
        ("google", "gemini-2.5-pro"),
        ("openrouter", "anthropic/claude-opus-5"),
    ]:
        entry = image_entries()[name]
        assert entry.context_window
        assert entry.max_output_tokens
