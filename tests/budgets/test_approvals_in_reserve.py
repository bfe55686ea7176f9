"""An approval lets one reservation pass, in the transaction that makes it."""

from uuid import uuid4

import pytest

from apps.orgs.models import Organization
from apps.policies.models import ApprovalUse
from tests.budgets import money
from tests.concurrency.callers import Connection


def test_an_approval_lets_one_request_pass_and_the_next_one_holds_nothing(
    connection: Connection, acme: Organization
) -> None:
    period = money.open_period(connection, money.make_budget(acme, 1000))
    tokens, approval = money.tokens_of(connection, acme), str(uuid4())
    first, second = (money.a_request(acme, tokens, [period], approval_id=approval) for _ in range(2))
    assert money.verdict(connection, first) == "granted"
    assert money.verdict(connection, first) == "granted", "its reply was lost"
    assert money.verdict(connection, second) == "approval_used"
    assert money.counters(connection, period) == (0, 100)
    assert str(ApprovalUse.objects.get().reservation_id) == first["id"]


def test_of_one_batch_one_passes_and_what_the_other_would_have_held_is_free(
    connection: Connection, acme: Organization
) -> None:
    period = money.open_period(connection, money.make_budget(acme, 1000))
    tokens, approvals = money.tokens_of(connection, acme), sorted(str(uuid4()) for _ in range(2))
    requests = [
        money.a_request(acme, tokens, [period], approval_id=approvals[1]),
        money.a_request(acme, tokens, [period]),
        money.a_request(acme, tokens, [period], approval_id=approvals[0]),
        money.a_request(acme, tokens, [period], approval_id=approvals[1]),
    ]
    verdicts = [answer["verdict"] for answer in money.reserve(connection, *requests)]
    assert verdicts == ["granted", "granted", "granted", "approval_used"]
    assert money.counters(connection, period) == (0, 300)


def test_a_request_that_is_refused_leaves_its_approval_unused(connection: Connection, acme: Organization) -> None:
    period = money.open_period(connection, money.make_budget(acme, 99))
    request = money.a_request(acme, money.tokens_of(connection, acme), [period], approval_id=str(uuid4()))
    assert money.verdict(connection, request) == "exceeded"
    assert not ApprovalUse.objects.exists()


@pytest.mark.parametrize("is_late", [False, True])
def test_a_request_that_the_provider_did_not_charge_frees_its_approval(
    connection: Connection, acme: Organization, is_late: bool
) -> None:
    tokens, approval = money.tokens_of(connection, acme), str(uuid4())
    first, second = (money.a_request(acme, tokens, [], approval_id=approval) for _ in range(2))
    money.reserve(connection, first)
    if is_late:
        money.end(connection, money.an_ending(first, "expire", by_hand=True))
        assert money.verdict(connection, second) == "approval_used"
    money.end(connection, money.an_ending(first, "void"))
    assert money.verdict(connection, second) == "granted"


@pytest.mark.parametrize("kind", ["settle", "expire"])
def test_a_request_that_was_or_may_have_been_charged_does_not(
    connection: Connection, acme: Organization, kind: str
) -> None:
    tokens, approval = money.tokens_of(connection, acme), str(uuid4())
    first, second = (money.a_request(acme, tokens, [], approval_id=approval) for _ in range(2))
    money.reserve(connection, first)
    money.end(connection, money.an_ending(first, kind, by_hand=True))
    assert money.verdict(connection, second) == "approval_used"
