"""Which hosted tools a request uses, as far as its body tells: what can't be told is None, and rules then deny."""

from typing import Any

import orjson
import pytest

from apps.gateway.parsing import parse_chat_request

FUNCTION = {"type": "function", "function": {"name": "f"}}


def tools(model: str = "gpt-4.1", **members: Any) -> frozenset[str] | None:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **members}
    return parse_chat_request(orjson.dumps(body)).tools


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({}, set()),
        ({"tools": None}, set()),
        ({"tools": []}, set()),
        ({"tools": [FUNCTION, {"type": "custom", "custom": {"name": "c"}}]}, set()),
        ({"functions": [{"name": "f"}], "tool_choice": "auto"}, set()),
        ({"tools": [FUNCTION, {"type": "web_search"}]}, {"web_search"}),
        ({"tools": [{"type": "web_search_preview"}, {"type": "mcp"}]}, {"web_search_preview", "mcp"}),
        ({"web_search_options": {}}, {"web_search"}),
        ({"web_search_options": None}, set()),
        ({"tools": [{"type": "Function"}]}, {"Function"}),
        ({"tools": [{"type": ""}]}, {""}),
    ],
)  # fmt: skip
def test_they_are_told_by_their_type(members: dict[str, Any], told: set[str]) -> None:
    assert tools(**members) == told


def test_a_model_that_always_searches_uses_web_search() -> None:
    assert tools("gpt-4o-search-preview") == {"web_search"}


@pytest.mark.parametrize(
    "members",
    [
        {"tools": "web_search"},
        {"tools": {"type": "web_search"}},
        {"tools": 7},
        {"tools": ["web_search"]},
        {"tools": [None]},
        {"tools": [{}]},
        {"tools": [{"type": None}]},
        {"tools": [{"type": 7}]},
        {"tools": [{"type": ["web_search"]}]},
        {"tools": [{"type": {"of": "web_search"}}]},
        {"tools": [FUNCTION, {"type": True}]},
        {"tools": [{"type": "x" * 101}]},
        {"tools": [{"type": f"tool_{number}"} for number in range(65)]},
        {"mcp_servers": [{"url": "https://example.com"}]},
        {"plugins": [{"id": "web"}]},
        {"prompt": {"id": "pmpt_1"}},
        {"extra_body": {"google": {}}},
    ],
)
def test_what_cannot_be_told_is_none(members: dict[str, Any]) -> None:
    assert tools(**members) is None


def test_many_functions_are_no_hosted_tools() -> None:
    assert tools(tools=[FUNCTION] * 2000) == frozenset()
