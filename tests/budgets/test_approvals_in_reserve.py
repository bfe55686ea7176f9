"""An approval lets one reservation pass, in the transaction that makes it."""

from uuid import uuid4

import pytest

from apps.orgs.models import Organization
from apps.policies.models import ApprovalUse
from tests.budgets import money
from tests.concurrency.callers import Connection
from tests.databases import Database


@pytest.fixture
def session(database: Database) -> Connection:
    session = database.connect()
    money.beat(session)
    return session


@pytest.fixture
def acme(session: Connection) -> Organization:
    return money.make_organization()


def test_an_approval_lets_one_request_pass_and_the_next_one_holds_nothing(
    session: Connection, acme: Organization
) -> None:
    period = money.open_period(session, money.make_budget(acme, 1000))
    tokens, approval = money.tokens_of(session, acme), str(uuid4())
    first, second = (money.a_request(acme, tokens, [period], approval_id=approval) for _ in range(2))
    assert money.verdict(session, first) == "granted"
    assert money.verdict(session, first) == "granted", "its reply was lost"
    assert money.verdict(session, second) == "approval_used"
    assert money.counters(session, period) == (0, 100)
    assert str(ApprovalUse.objects.get().reservation_id) == first["id"]


def test_of_one_batch_one_passes_and_what_the_other_would_have_held_is_free(
    session: Connection, acme: Organization
) -> None:
    period = money.open_period(session, money.make_budget(acme, 1000))
    tokens, approvals = money.tokens_of(session, acme), sorted(str(uuid4()) for _ in range(2))
    requests = [
        money.a_request(acme, tokens, [period], approval_id=approvals[1]),
        money.a_request(acme, tokens, [period]),
        money.a_request(acme, tokens, [period], approval_id=approvals[0]),
        money.a_request(acme, tokens, [period], approval_id=approvals[1]),
    ]
    verdicts = [answer["verdict"] for answer in money.reserve(session, *requests)]
    assert verdicts == ["granted", "granted", "granted", "approval_used"]
    assert money.counters(session, period) == (0, 300)


def test_a_request_that_is_refused_leaves_its_approval_unused(session: Connection, acme: Organization) -> None:
    period = money.open_period(session, money.make_budget(acme, 99))
    request = money.a_request(acme, money.tokens_of(session, acme), [period], approval_id=str(uuid4()))
    assert money.verdict(session, request) == "exceeded"
    assert not ApprovalUse.objects.exists()


@pytest.mark.parametrize("is_late", [False, True])
def test_a_request_that_the_provider_did_not_charge_frees_its_approval(
    session: Connection, acme: Organization, is_late: bool
) -> None:
    tokens, approval = money.tokens_of(session, acme), str(uuid4())
    first, second = (money.a_request(acme, tokens, [], approval_id=approval) for _ in range(2))
    money.reserve(session, first)
    if is_late:
        money.end(session, money.an_ending(first, "expire", by_hand=True))
        assert money.verdict(session, second) == "approval_used"
    money.end(session, money.an_ending(first, "void"))
    assert money.verdict(session, second) == "granted"


@pytest.mark.parametrize("kind", ["settle", "expire"])
def test_a_request_that_was_or_may_have_been_charged_does_not(
    session: Connection, acme: Organization, kind: str
) -> None:
    tokens, approval = money.tokens_of(session, acme), str(uuid4())
    first, second = (money.a_request(acme, tokens, [], approval_id=approval) for _ in range(2))
    money.reserve(session, first)
    money.end(session, money.an_ending(first, kind, by_hand=True))
    assert money.verdict(session, second) == "approval_used"
