"""Tools of wrong types and endless lists of them, under rules that look at tools: a clear answer, never a 500."""

from typing import Any

import pytest

from apps.budgets.models import Budget
from tests.gateway.company import Company
from tests.gateway.governing import error_of, in_force

SHAPES: tuple[object, ...] = (
    "web_search", 7, True, {}, {"type": "web_search"}, [[]], [None], ["x"], [{}], [{"type": 7}], [{"type": None}],
    [{"type": ["web_search"]}], [{"type": "a*" * 5000}], [{"type": "\u0000"}], [{"type": "\U0001f9e8"}],
    [{"type": f"tool_{number}"} for number in range(5000)], [{"type": "web_search"}] * 20_000,
    [{"type": "function"}] * 5000, [[[[[[]]]]]],
)  # fmt: skip


@pytest.fixture
def governed(company: Company) -> Company:
    """With rules that look at tools, by every kind of pattern, in force and on a budget."""
    wide = [f"{'*'.join('abcdefgh'[: number % 8])}*{number}*" for number in range(1, 200)]
    in_force(company, "allowlist", {"tools": ["web_search", *wide]})
    in_force(company, "per_request_limit", {"max_usd": "1"}, selector={"tools": wide})
    Budget.objects.create(
        organization=company.organization, period_kind="total", amount=10**15, counts_from_now=True,
        selector={"tools": wide},
    )  # fmt: skip
    return company


@pytest.mark.parametrize("tools", SHAPES, ids=lambda tools: str(tools)[:30])
def test_it_is_answered_with_a_sentence(governed: Company, tools: Any) -> None:
    answer = governed.chat(tools=tools)
    assert answer.status_code in (200, 400, 403), answer.text
    if answer.status_code != 200:
        assert len(error_of(answer)["message"]) < 2000
        assert governed.reservations() == []


def test_without_a_rule_about_tools_it_is_the_providers_business(company: Company) -> None:
    assert company.chat(tools=[{"type": 7}]).status_code == 200
