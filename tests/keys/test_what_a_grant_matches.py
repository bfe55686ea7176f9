import pytest

from apps.keys.patterns import matcher


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("openai/gpt-4.1", "openai/gpt-4.1"),
        ("openai/*", "openai/gpt-4.1"),
        ("openai/gpt-4*", "openai/gpt-4.1-mini"),
        ("*/gpt-4.1", "openai/gpt-4.1"),
        ("*/*", "openrouter/openai/gpt-4.1"),
        ("openrouter/*/gpt-4.1", "openrouter/openai/gpt-4.1"),
    ],
)
def test_a_grant_matches(pattern: str, name: str) -> None:
    assert matcher(pattern).match(name)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("openai/gpt-4.1", "openai/gpt-4.1-mini"),
        ("openai/gpt-4.1", "openai/gpt-4x1"),
        ("openai/*", "openrouter/openai/gpt-4.1"),
        ("*/gpt-4.1", "openrouter/openai/gpt-4.1"),
        ("open*/gpt-4.1", "openrouter/openai/gpt-4.1"),
        ("openai/[a-z]*", "openai/gpt-4.1"),
    ],
)
def test_a_grant_does_not_match(pattern: str, name: str) -> None:
    assert not matcher(pattern).match(name)
