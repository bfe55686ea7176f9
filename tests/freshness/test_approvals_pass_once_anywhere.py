"""A review is asked for once, and once it is allowed one request passes, on whichever gateway, however many come."""

from datetime import timedelta

import pytest

from apps.budgets.capping import change_amount
from apps.policies import reviewing
from apps.policies.models import PolicyVersion, Review
from spendra.kernel.clock import database_now
from tests.freshness.doors import Answer, Doors
from tests.gateway.company import Company
from tests.gateway.governing import USD, approve, in_force, retire

ROUNDS = 25


def codes(answers: list[Answer]) -> list[str]:
    return sorted("200" if answer.status == 200 else answer.json()["error"]["code"] for answer in answers)


def asked(answers: list[Answer]) -> set[str]:
    return {answer.json()["error"]["spendra"]["review"] for answer in answers}


def review_of(doors: Doors, company: Company, **fields: object) -> str:
    answers = doors.ask(company.key, **fields)
    assert codes(answers) == ["review_required", "review_required"]
    (review,) = asked(answers)
    return review


@pytest.fixture(autouse=True)
def _everything_needs_a_review(company: Company, doors: Doors) -> None:
    in_force(company, "review", {}, name="ask first")


def test_the_refusal_names_the_review_and_what_to_do(company: Company, doors: Doors) -> None:
    answer = doors.ask(company.key)[0]
    error = answer.json()["error"]
    review = Review.objects.get(organization_id=company.organization.id)
    assert (answer.status, error["code"], error["spendra"]["review"]) == (403, "review_required", str(review.id))
    assert answer.headers["x-should-retry"] == "false"
    assert "'ask first' (version 1) asks for a review" in error["message"]
    assert str(review.id) in error["message"]
    assert (review.key_id, review.provider, review.model) == (
        company.issued.record.key_id, "openai", "gpt-4.1-mini",
    )  # fmt: skip
    assert str(review.asked_nanos) == error["spendra"]["asked"]
    assert review.actor_id == company.actor.id


def test_both_gateways_ask_for_the_same_review_and_it_keeps_the_greatest_amount(company: Company, doors: Doors) -> None:
    first = review_of(doors, company)
    assert review_of(doors, company, max_tokens=500) == first
    most = Review.objects.get(id=first).asked_nanos
    assert review_of(doors, company) == first
    assert Review.objects.get(id=first).asked_nanos == most


def test_of_two_retries_at_once_on_two_gateways_exactly_one_passes(company: Company, doors: Doors) -> None:
    for _ in range(ROUNDS):
        approve(company, review_of(doors, company))
        assert codes(doors.ask(company.key)) == ["200", "review_required"]
        assert codes(doors.ask(company.key)) == ["review_required", "review_required"]


def test_two_approvals_let_two_requests_pass(company: Company, doors: Doors) -> None:
    for max_tokens in (16, 1000):
        review = review_of(doors, company, max_tokens=max_tokens)
        approve(company, review, max_nanos=Review.objects.get(id=review).asked_nanos)
    assert codes(doors.ask(company.key)) == ["200", "200"]
    assert codes(doors.ask(company.key)) == ["review_required", "review_required"]


def test_a_voided_request_leaves_the_approval_to_the_next(company: Company, doors: Doors) -> None:
    approve(company, review_of(doors, company))
    failed = sorted(answer.status for answer in doors.ask(company.key, sandbox="status=500"))
    assert failed in ([403, 500], [500, 500])
    company.wait_for_ends(1)
    assert codes(doors.ask(company.key)) == ["200", "review_required"]


def test_it_is_for_one_model_one_key_and_no_more_than_the_amount(company: Company, doors: Doors) -> None:
    review = review_of(doors, company, max_tokens=100)
    approve(company, review, max_nanos=Review.objects.get(id=review).asked_nanos)
    assert codes(doors.ask(company.key, model="gpt-4o", max_tokens=100)) == ["review_required"] * 2
    assert codes(doors.ask(company.another_key().key, max_tokens=100)) == ["review_required"] * 2
    assert codes(doors.ask(company.key, max_tokens=1000)) == ["review_required"] * 2
    assert codes(doors.ask(company.key, max_tokens=100)) == ["200", "review_required"]


def test_it_ends_at_its_time(company: Company, doors: Doors) -> None:
    approval = approve(company, review_of(doors, company), lasts=timedelta(milliseconds=150))
    while database_now() < approval.valid_until:
        pass
    assert codes(doors.ask(company.key)) == ["review_required", "review_required"]


def test_a_denied_review_lets_nothing_pass_and_the_next_request_asks_anew(company: Company, doors: Doors) -> None:
    first = review_of(doors, company)
    reviewing.deny(Review.objects.get(id=first), organization=company.organization, acting="test")
    assert review_of(doors, company) != first


def test_an_approval_passes_no_cap_and_no_other_denial_and_is_kept_for_later(company: Company, doors: Doors) -> None:
    approve(company, review_of(doors, company))
    budget = company.cap(1, period_kind="month")
    assert codes(doors.ask(company.key)) == ["budget_exceeded", "budget_exceeded"]
    change_amount(budget, amount=10 * USD, acting="test")
    version = in_force(company, "allowlist", {"models": ["openai/gpt-4o"]})
    assert codes(doors.ask(company.key)) == ["policy_denied", "policy_denied"]
    retire(company, version)
    assert codes(doors.ask(company.key)) == ["200", "review_required"]


def test_only_what_is_above_its_amount_is_asked_for(company: Company, doors: Doors) -> None:
    careful = company.another_key()
    retire(company, PolicyVersion.objects.get(organization=company.organization))
    in_force(company, "review", {"above_usd": "0.001"}, selector={"key_ids": [careful.record.key_id]})
    assert codes(doors.ask(careful.key)) == ["200", "200"]
    assert codes(doors.ask(careful.key, max_tokens=1000)) == ["review_required", "review_required"]
    assert codes(doors.ask(company.key, max_tokens=1000)) == ["200", "200"]
