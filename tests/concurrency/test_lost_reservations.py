"""After a failover gateways end reservations that are there beside others that it lost."""

import pytest

from apps.budgets import verifying
from apps.budgets.models import Reservation, SettleQuarantine
from apps.orgs.models import Organization
from tests.budgets import money
from tests.concurrency.test_passing_faults import put_in_front
from tests.concurrency.test_poisoned_batches import settle
from tests.databases import Database


@pytest.fixture
def acme(database: Database) -> Organization:
    money.beat(database.connect())
    return money.make_organization()


def test_a_batch_of_known_and_lost_reservations_books_all_of_them(database: Database, acme: Organization) -> None:
    """As after a failover: gateways send the settles of the last minute again."""
    connection = database.connect()
    period = money.open_period(connection, money.make_budget(acme, 10_000))
    requests = [money.a_request(acme, money.tokens_of(connection, acme), [period]) for _ in range(9)]
    money.reserve(connection, *requests[::2])
    kinds = ["settle", "settle", "void"] * 3
    endings = [money.an_ending(request, kind) for request, kind in zip(requests, kinds, strict=True)]
    outcomes = [answer["outcome"] for answer in settle(database, endings)]
    assert outcomes == [
        "settled", "recovered", "voided", "recovered", "settled", "already_voided", "settled", "recovered", "voided",
    ]  # fmt: skip
    assert money.counters(connection, period) == (360, 0)


def test_a_full_batch_of_known_and_lost_reservations_takes_one_call_a_kind(
    database: Database, acme: Organization
) -> None:
    connection = database.connect()
    period = money.open_period(connection, money.make_budget(acme, 10**6))
    tokens = money.tokens_of(connection, acme)
    requests = [money.a_request(acme, tokens, [period]) for _ in range(256)]
    endings = [money.an_ending(request, "void" if n % 3 else "settle") for n, request in enumerate(requests)]
    known = [request for n, request in enumerate(requests) if n % 5]
    money.reserve(connection, *known)
    put_in_front(connection, "budgets_settle_v2", "PERFORM nextval('calls');")
    outcomes = {answer["id"]: answer["outcome"] for answer in settle(database, endings)}
    assert list(outcomes) == [request["id"] for request in requests]
    for n, request in enumerate(requests):
        there, lost = ("voided", "already_voided") if n % 3 else ("settled", "recovered")
        assert outcomes[request["id"]] == (there if n % 5 else lost)
    assert connection.execute("SELECT last_value FROM calls").fetchone() == (4,), "the whole, then each of three kinds"
    assert money.counters(connection, period) == (60 * len(endings[::3]), 0)
    assert not SettleQuarantine.objects.exists()


def test_to_expire_one_that_was_lost_has_no_outcome(database: Database, acme: Organization) -> None:
    connection = database.connect()
    known, lost = (money.a_request(acme, money.tokens_of(connection, acme), []) for _ in range(2))
    money.reserve(connection, known)
    outcomes = settle(database, [money.an_ending(lost, "expire"), money.an_ending(known)])
    assert [(answer["id"], answer["outcome"]) for answer in outcomes] == [(known["id"], "settled")]


def test_one_of_them_that_cannot_be_booked_goes_to_quarantine_alone(database: Database, acme: Organization) -> None:
    connection = database.connect()
    requests = [money.a_request(acme, money.tokens_of(connection, acme), []) for _ in range(4)]
    money.reserve(connection, *requests[:2])
    endings = [money.an_ending(request) for request in requests]
    endings[3]["cost_nanos"] = -1
    outcomes = [answer["outcome"] for answer in settle(database, endings)]
    assert outcomes == ["settled", "settled", "recovered", "quarantined"]
    assert [str(row.reservation_id) for row in SettleQuarantine.objects.all()] == [requests[3]["id"]]


def test_one_whose_period_was_lost_with_it_is_booked_in_the_periods_that_are_left(
    database: Database, acme: Organization
) -> None:
    connection = database.connect()
    period = money.open_period(connection, money.make_budget(acme, 10_000))
    payer = money.make_key(acme, money.make_unit(acme))
    request = money.a_request(acme, money.tokens_of(connection, acme), [period, 999], **payer)
    assert [answer["outcome"] for answer in settle(database, [money.an_ending(request)])] == ["recovered"]
    assert Reservation.objects.get().period_ids == [period]
    assert money.counters(connection, period) == (60, 0)
    assert list(verifying.verify()) == []
