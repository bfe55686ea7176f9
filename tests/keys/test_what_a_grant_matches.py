import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.keys.patterns import matcher, wildcard


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


def _matches_as_anybody_would_say(pattern: str, text: str) -> bool:
    """A star takes any run of characters: each length of it is tried."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_matches_as_anybody_would_say(pattern[1:], text[taken:]) for taken in range(len(text) + 1))
    return text[:1] == pattern[0] and _matches_as_anybody_would_say(pattern[1:], text[1:])


@given(pattern=st.text("ab-*", max_size=9), text=st.text("ab-", max_size=9))
def test_stars_take_any_run_of_characters(pattern: str, text: str) -> None:
    found = re.fullmatch(wildcard(pattern), text) is not None
    assert found == _matches_as_anybody_would_say(pattern, text)


@pytest.mark.parametrize(
    "pattern", ["*" * 20 + "z", "*-*-*-*-mini", "*a*a*a*a*a*a*a*az", "*" * 64 + "a*a*a*a*a*a*a*a", "*-" * 100]
)
def test_no_pattern_takes_long_whatever_it_is_asked(pattern: str) -> None:
    """The client chooses what is matched, and everybody's requests wait for it."""
    began_at = time.perf_counter()
    for text in ("a" * 300, "gpt" + "-" * 300, "a-" * 150):
        re.fullmatch(wildcard(pattern), text)
        matcher(f"openai/{pattern}").match(f"openai/{text}")
        matcher(f"{pattern}/x").match(f"{text}/x")
    assert time.perf_counter() - began_at < 1
