"""A rate limit is a budget in requests or tokens: exact over all gateways, refused with the time until it resets."""

import math
import time
from datetime import datetime, timedelta
from typing import Any

import pytest

from apps.budgets.models import Budget, Period
from spendra.kernel.clock import database_now
from tests.freshness.doors import Answer, Doors
from tests.gateway.company import Company


def rate(company: Company, amount: int, period_kind: str = "minute", **fields: Any) -> Budget:
    fields = {"measure": "requests", "counts_from_now": True, **fields}
    return Budget.objects.create(organization=company.organization, period_kind=period_kind, amount=amount, **fields)


def far_from_the_edge() -> None:
    """A test must not straddle two minutes."""
    while database_now().second > 45:
        time.sleep(0.5)


def codes(answers: list[Answer]) -> list[str]:
    return ["200" if answer.status == 200 else answer.json()["error"]["code"] for answer in answers]


def test_so_many_requests_a_minute_pass_and_no_more(company: Company, doors: Doors) -> None:
    far_from_the_edge()
    rate(company, 7)
    outcomes = [code for _ in range(8) for code in codes(doors.ask(company.key))]
    assert outcomes.count("200") == 7
    assert outcomes.count("rate_limited") == 9


@pytest.mark.parametrize(("kind", "longest"), [("minute", 60), ("hour", 3600), ("day", 86400)])
def test_the_refusal_says_when_the_window_ends(company: Company, doors: Doors, kind: str, longest: int) -> None:
    far_from_the_edge()
    budget = rate(company, 1, kind)
    answer = doors.ask(company.key)[0]
    answer = doors.ask(company.key)[0]
    now = database_now()
    said = answer.json()["error"]
    left = math.ceil((datetime.fromisoformat(said["spendra"]["resets_at"]) - now).total_seconds())
    assert (answer.status, said["code"], said["type"]) == (429, "rate_limited", "rate_limit_error")
    assert 0 < left <= longest
    assert said["spendra"]["rule"] == str(budget.id)
    assert abs(int(answer.headers["retry-after"]) - min(left, 60)) <= 1
    assert ("x-should-retry" in answer.headers) == (left > 60)
    assert answer.headers["x-ratelimit-limit-requests"] == "1"
    assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    assert abs(int(answer.headers["x-ratelimit-reset-requests"].rstrip("s")) - left) <= 1
    assert (
        f"{kind} cap of 1 requests on organization {company.organization.slug} has 0 requests left" in said["message"]
    )


def test_tokens_are_limited_by_what_requests_reserve_and_then_by_what_they_used(company: Company, doors: Doors) -> None:
    far_from_the_edge()
    budget = rate(company, 400, measure="tokens")
    outcomes = []
    for _ in range(30):
        outcomes += codes(doors.ask(company.key))
        company.wait_for_ends(outcomes.count("200"))
        if outcomes[-2:] == ["rate_limited", "rate_limited"]:
            break
    assert {"200", "rate_limited"} <= set(outcomes) <= {"200", "rate_limited", "budget_in_flight"}
    period = Period.objects.get(budget=budget)
    assert (period.settled <= 400, period.reserved) == (True, 0)


def test_more_than_the_limit_at_once_is_no_matter_of_waiting(company: Company, doors: Doors) -> None:
    rate(company, 10, measure="tokens")
    answer = doors.ask(company.key)[0]
    assert (answer.status, answer.json()["error"]["code"]) == (402, "budget_exceeded")


def test_a_soft_limit_refuses_nothing(company: Company, doors: Doors) -> None:
    rate(company, 0, hardness="soft")
    assert codes(doors.ask(company.key)) == ["200", "200"]


def test_a_rate_may_be_for_certain_models(company: Company, doors: Doors) -> None:
    rate(company, 0, "day", selector={"models": ["openai/gpt-4o*"]})
    assert codes(doors.ask(company.key)) == ["200", "200"]
    answers = doors.ask(company.key, model="gpt-4o")
    assert set(codes(answers)) == {"budget_exceeded"}


@pytest.mark.system  # waits for the end of a minute
def test_at_the_edge_of_a_window_each_counts_its_own(company: Company, doors: Doors) -> None:
    """Without a pause over the edge: never more than the limit in either minute, and the first request of the new one
    passes."""
    limit = 5
    budget = rate(company, limit)
    edge = database_now().replace(second=0, microsecond=0) + timedelta(minutes=1)
    while (left := (edge - database_now()).total_seconds()) > 1:
        time.sleep(min(left - 1, 5))
    after: list[str] = []
    while database_now() < edge + timedelta(seconds=1):
        sent_at = database_now()
        outcomes = codes(doors.ask(company.key))
        if sent_at >= edge:
            after += outcomes
    assert after[:2] == ["200", "200"] or after.count("200") >= limit - 2
    company.wait_for_ends(1)
    settled = dict(Period.objects.filter(budget=budget).values_list("starts_at", "settled"))
    assert settled == {edge - timedelta(minutes=1): limit, edge: limit}
