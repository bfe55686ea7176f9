"""A chat request is read into what decides its price; what it doesn't know it leaves alone."""

import json
from typing import Any

import pytest

from apps.gateway.parsing import ChatRequest, parse_chat_request


def make_body(**members: Any) -> bytes:
    return json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], **members}).encode()


def parse(**members: Any) -> ChatRequest:
    return parse_chat_request(make_body(**members))


def with_parts(*parts: Any) -> ChatRequest:
    return parse(messages=[{"role": "user", "content": list(parts)}])


def test_a_bare_request_has_the_defaults() -> None:
    request = parse()
    assert request.model == "gpt-4o-mini"
    assert (request.stream, request.include_usage) == (False, False)
    assert (request.output_limit, request.output_limit_key) == (None, None)
    facts = request.facts
    assert (facts.n, facts.message_count, facts.tool_count, facts.service_tier) == (1, 1, 0, None)
    assert not any([facts.has_unbounded_input, facts.has_audio, facts.asks_for_caching, facts.web_searches])


def test_null_means_not_given() -> None:
    request = parse(stream=None, stream_options=None, max_tokens=None, n=None, service_tier=None, tools=None)
    assert (request.stream, request.include_usage, request.output_limit, request.facts.n) == (False, False, None, 1)


@pytest.mark.parametrize("key", ["max_tokens", "max_completion_tokens"])
def test_either_output_limit_is_read_with_its_key(key: str) -> None:
    request = parse(**{key: 77})
    assert (request.output_limit, request.output_limit_key, request.facts.output_limit) == (77, key, 77)


def test_a_null_limit_beside_a_real_one_does_not_count() -> None:
    assert parse(max_tokens=None, max_completion_tokens=5).output_limit_key == "max_completion_tokens"


def test_a_stream_that_asks_for_usage_says_so() -> None:
    request = parse(stream=True, stream_options={"include_usage": True, "include_obfuscation": False})
    assert (request.stream, request.include_usage) == (True, True)


def test_choices_tier_tools_and_messages_are_counted() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "g"}}]
    facts = parse(n=3, service_tier="flex", tools=tools, functions=[{"name": "h"}]).facts
    assert (facts.n, facts.service_tier, facts.tool_count) == (3, "flex", 3)
    assert not facts.has_unbounded_input


def test_unknown_parameters_are_left_alone() -> None:
    request = parse(reasoning_effort="high", metadata={"model": "not this one", "n": -1}, x_new=[1, {"stream": "?"}])
    assert (request.model, request.stream, request.facts.has_unbounded_input) == ("gpt-4o-mini", False, False)


def test_a_limit_does_not_bound_a_request_with_a_prediction() -> None:
    request = parse(max_tokens=5, prediction={"type": "content", "content": "long text"})
    assert (request.output_limit, request.facts.output_limit) == (5, None)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "text", "text": "Hi", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
        {"type": ["text"]},
        {},
        7,
    ],
)
def test_a_part_that_is_more_than_text_has_no_bound(part: Any) -> None:
    assert with_parts({"type": "text", "text": "Look"}, part).facts.has_unbounded_input


def test_text_parts_are_bounded() -> None:
    assert not with_parts(
        {"type": "text", "text": "Hi"}, {"type": "refusal", "refusal": "No"}
    ).facts.has_unbounded_input


@pytest.mark.parametrize(
    "members",
    [
        {"web_search_options": {}},
        {"tools": [{"type": "web_search"}]},
        {"tools": ["odd"]},
        {"tools": "odd"},
        {"previous_response_id": "resp_1"},
        {"plugins": [{"id": "web"}]},
        {"extra_body": {"google": {"cached_content": "cachedContents/1"}}},
    ],
)
def test_what_reaches_beyond_the_body_has_no_bound(members: dict[str, Any]) -> None:
    assert parse(**members).facts.has_unbounded_input


def test_audio_is_noticed_in_and_out() -> None:
    spoken = with_parts({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}).facts
    assert (spoken.has_audio, spoken.has_unbounded_input) == (True, True)
    assert parse(modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"}).facts.has_audio
    earlier = parse(messages=[{"role": "assistant", "audio": {"id": "audio_1"}}]).facts
    assert (earlier.has_audio, earlier.has_unbounded_input) == (True, True)


@pytest.mark.parametrize(
    "members",
    [
        {"prompt_cache_retention": "24h"},
        {"messages": [{"role": "user", "content": "Hi", "cache_control": {"type": "ephemeral"}}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {}}]}]},
        {"tools": [{"type": "function", "function": {"name": "f"}, "cache_control": {}}]},
    ],
)
def test_asking_for_caching_is_noticed_wherever_it_stands(members: dict[str, Any]) -> None:
    assert parse(**members).facts.asks_for_caching


def test_a_web_search_is_counted_for_each_choice() -> None:
    assert parse(web_search_options={}, n=2).facts.web_searches == 2
    assert parse(model="gpt-4o-search-preview").facts.web_searches == 1


def test_texts_hold_everything_that_a_tokenizer_could_see() -> None:
    request = parse(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "name": "ana", "content": [{"type": "text", "text": "Grüße\n"}]},
            {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}]},
        ],
        tools=[{"type": "function", "function": {"name": "look_up", "description": "Looks it up"}}],
        response_format={"type": "json_schema", "json_schema": {"name": "answer_shape"}},
    )
    texts = request.texts()
    assert {"Be brief.", "ana", "Grüße\n", "c1", "f", "{}"} <= set(texts)
    assert any("Looks it up" in text for text in texts)
    assert any("answer_shape" in text for text in texts)
    assert sum(len(text.encode()) for text in texts) <= len(request.body)


def test_a_request_shows_no_prompt_when_printed() -> None:
    secret = "the merger closes on Friday"
    request = parse(messages=[{"role": "user", "content": secret}])
    assert secret not in repr(request)
    assert secret not in f"{request}"
