import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.keys.patterns import normalize, normalize_all
from spendra.kernel.errors import Invalid


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("gpt-4.1", "openai/gpt-4.1"),
        (" openai/gpt-4.1 ", "openai/gpt-4.1"),
        ("*", "openai/*"),
        ("OpenAI/gpt-4.1*", "openai/gpt-4.1*"),
        ("*/*", "*/*"),
        ("openrouter/meta-llama/Llama-3:free", "openrouter/meta-llama/Llama-3:free"),
        ("openai/ft:gpt-4.1:acme::abc", "openai/ft:gpt-4.1:acme::abc"),
    ],
)
def test_a_grant_is_written_as_provider_and_model(text: str, pattern: str) -> None:
    assert normalize(text) == pattern
    assert normalize(pattern) == pattern


@pytest.mark.parametrize(
    "text", ["", " ", "/", "openai/", "/gpt", "open ai/gpt", "openai/g pt", "a\0/b", "o/\ud800", "openai/" + "a" * 300]
)
def test_what_is_no_grant_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="is no grant"):
        normalize(text)


@given(st.text())
def test_any_text_is_a_grant_or_is_refused(text: str) -> None:
    try:
        pattern = normalize(text)
    except Invalid:
        return
    assert normalize(pattern) == pattern


def test_the_same_grant_counts_once() -> None:
    assert normalize_all(["b", "openai/a", "a", "openai/b"]) == ["openai/b", "openai/a"]
