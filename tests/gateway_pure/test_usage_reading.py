"""Usage is read so that each unit counts once and at its own class; what can't be is unknown, never cheaper."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.catalog.types import RequestFacts, Usage
from apps.providers.adapters import MAX_TOKENS, chat_url, credential_header, read_usage
from spendra.kernel.errors import ProviderNotConfigured


def read(usage: Any, *, service_tier: str | None = None, facts: RequestFacts | None = None) -> Usage | None:
    return read_usage(usage, service_tier=service_tier, facts=facts or RequestFacts())


def make_usage(prompt: Any = 100, completion: Any = 50, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, **more}


def test_bare_totals_are_input_and_output() -> None:
    assert read(make_usage(total_tokens=150)) == Usage(input=100, output=50)


def test_details_are_taken_out_of_the_totals() -> None:
    usage = make_usage(
        total_tokens=150,
        prompt_tokens_details={"cached_tokens": 60, "audio_tokens": 10, "cache_write_tokens": 5, "image_tokens": 1},
        completion_tokens_details={
            "reasoning_tokens": 20,
            "audio_tokens": 4,
            "accepted_prediction_tokens": 3,
            "rejected_prediction_tokens": 9,
        },
    )
    expected = Usage(
        input=24,
        cached_input=60,
        cache_write_5m=5,
        audio_input=10,
        image_input=1,
        output=26,
        reasoning=20,
        audio_output=4,
    )
    assert read(usage) == expected
    assert (expected.input_total, expected.output_total) == (100, 50)


def test_thinking_that_only_the_total_holds_is_output() -> None:
    assert read(make_usage(total_tokens=400)) == Usage(input=100, output=300)


def test_the_answers_tier_goes_before_the_requests() -> None:
    facts = RequestFacts(service_tier="flex", web_searches=2)
    asked, answered = read(make_usage(), facts=facts), read(make_usage(), service_tier="default", facts=facts)
    assert asked is not None
    assert answered is not None
    assert (asked.service_tier, answered.service_tier, asked.web_search) == ("flex", "default", 2)


def test_cached_audio_counts_as_audio() -> None:
    usage = make_usage(prompt_tokens_details={"cached_tokens": 80, "audio_tokens": 70})
    assert read(usage) == Usage(input=0, cached_input=30, audio_input=70, output=50)


def test_null_details_are_none() -> None:
    usage = make_usage(
        total_tokens=None, prompt_tokens_details=None, completion_tokens_details={"reasoning_tokens": None}
    )
    assert read(usage) == Usage(input=100, output=50)


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"prompt_tokens": 5},
        {"completion_tokens": 5},
        {"total_tokens": 5},
        *(make_usage(value) for value in (-1, 1.0, "5", True, None, [], MAX_TOKENS + 1, 10**40, Decimal(5))),
        *(make_usage(5, value) for value in (-1, 1.0, "5", True, None, [], MAX_TOKENS + 1)),
        make_usage(total_tokens=-1),
        make_usage(total_tokens="150"),
        make_usage(prompt_tokens_details={"cached_tokens": -1}),
        make_usage(prompt_tokens_details={"cached_tokens": 101}),
        make_usage(prompt_tokens_details={"audio_tokens": 101}),
        make_usage(completion_tokens_details={"reasoning_tokens": 51}),
        make_usage(completion_tokens_details={"reasoning_tokens": 2.5}),
    ],
)
def test_a_usage_that_cannot_be_is_unknown(usage: Any) -> None:
    assert read(usage) is None


COUNTS = st.integers(0, 10**6)


@given(COUNTS, COUNTS, st.none() | COUNTS, st.dictionaries(st.sampled_from(["cached", "audio", "image"]), COUNTS))
def test_no_token_is_lost(prompt: int, completion: int, total: int | None, details: dict[str, int]) -> None:
    prompt_details = {f"{name}_tokens": count for name, count in details.items()}
    usage = read(make_usage(prompt, completion, total_tokens=total, prompt_tokens_details=prompt_details))
    if usage is not None:
        assert usage.input_total == prompt
        assert usage.output_total >= completion
        assert usage.input_total + usage.output_total >= (total or 0)


DETAILS = ["cached_tokens", "audio_tokens", "reasoning_tokens"]
NAMES = ["prompt_tokens", "completion_tokens", "total_tokens"]
NESTED = ["prompt_tokens_details", "completion_tokens_details"]
ODD = st.sampled_from(
    [None, True, -1, 0, 5, 10**40, 2.5, "5", Decimal("2.5"), Decimal("1E+999"), Decimal("1E-999"), [], {}]
)


@given(
    st.dictionaries(st.sampled_from(NAMES), ODD),
    st.dictionaries(st.sampled_from(NESTED), ODD | st.dictionaries(st.sampled_from(DETAILS), ODD)),
)
def test_nothing_that_a_provider_sends_makes_reading_fail(usage: dict[str, Any], details: dict[str, Any]) -> None:
    read({**usage, **details})


@pytest.mark.parametrize(
    ("provider", "base_url", "url"),
    [
        ("openai", "", "https://api.openai.com/v1/chat/completions"),
        ("openai", "http://127.0.0.1:9/v1/", "http://127.0.0.1:9/v1/chat/completions"),
        ("openrouter", "", "https://openrouter.ai/api/v1/chat/completions"),
        ("google", "", "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"),
        ("anthropic", "https://edge.example.com", "https://edge.example.com/v1/chat/completions"),
    ],
)
def test_each_provider_has_its_chat_url(provider: str, base_url: str, url: str) -> None:
    assert chat_url(provider, base_url) == url


def test_a_provider_without_an_adapter_is_named() -> None:
    with pytest.raises(ProviderNotConfigured, match="nowhere"):
        chat_url("nowhere")


def test_credentials_are_sent_as_bearer() -> None:
    assert credential_header("openai", " sk-1\n") == (b"authorization", b"Bearer sk-1")


@pytest.mark.parametrize("secret", ["", " \n", "sk-1\nx-evil: 1", "sk-\u00e9"])
def test_credentials_that_no_header_can_carry_are_refused_without_showing_them(secret: str) -> None:
    with pytest.raises(ProviderNotConfigured) as caught:
        credential_header("openai", secret)
    assert "sk-" not in caught.value.message
