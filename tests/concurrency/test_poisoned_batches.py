"""One bad item of a batch fails alone, through the callers that a gateway uses."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast
from uuid import UUID

import pytest

from apps.budgets import expiring, reserving, settling
from apps.budgets.connecting import HotConnection
from apps.budgets.models import Reservation, SettleQuarantine
from apps.budgets.types import Ending, ReservationRequest
from apps.orgs.models import Organization
from spendra.kernel.errors import Busy, RequestMalformed
from tests.budgets import money
from tests.databases import Database

Answer = TypeVar("Answer")
BAD_REQUESTS = {
    "NUL": {"model": "gpt\0"},
    "a lone surrogate": {"model": "gpt\ud800"},
    "2^63": {"nanos": 2**63},
    "2^64": {"nanos": 2**64},
    "negative": {"nanos": -1},
    "more than an amount may be": {"nanos": 10**15 + 1},
    "no amount": {"nanos": None},
    "half a nano": {"nanos": 1.5},
    "no UUID": {"actor_id": "Ada"},
    "no time": {"valid_until": "soon"},
}
BAD_ENDINGS = {
    "NUL": {"model": "gpt\0"},
    "a lone surrogate": {"model": "gpt\ud800"},
    "2^63": {"cost_nanos": 2**63},
    "negative": {"cost_nanos": -1},
    "more than an amount may be": {"cost_nanos": 10**15 + 1},
    "no cost": {"cost_nanos": None},
    "negative tokens": {"tokens": -1},
    "no entry id": {"entry_id": None},
    "an unknown status": {"status": "maybe"},
}


@pytest.fixture
def acme(database: Database) -> Organization:
    money.beat(database.connect())
    return money.make_organization()


def on_hot_connection(database: Database, act: Callable[[HotConnection], Awaitable[Answer]]) -> Answer:
    async def run() -> Answer:
        connection = HotConnection(database.url, name="test")
        try:
            return await act(connection)
        finally:
            await connection.close()

    return asyncio.run(run())


def reserve(database: Database, requests: list[dict[str, Any]]) -> list[Any]:
    asked = cast("list[ReservationRequest]", requests)
    return on_hot_connection(database, lambda connection: reserving.reserve(connection, asked))[1]


def settle(database: Database, endings: list[dict[str, Any]]) -> list[Any]:
    asked = cast("list[Ending]", endings)
    return on_hot_connection(database, lambda connection: settling.settle(connection, asked))


@pytest.mark.parametrize("bad", BAD_REQUESTS)
def test_one_request_that_cannot_be_stored_fails_alone(database: Database, acme: Organization, bad: str) -> None:
    connection = database.connect()
    period = money.open_period(connection, money.make_budget(acme, 10**16))
    tokens = money.tokens_of(connection, acme)
    requests = [money.a_request(acme, tokens, [period]) for _ in range(7)]
    requests[4].update(BAD_REQUESTS[bad])
    answers = reserve(database, requests)
    assert isinstance(answers.pop(4), RequestMalformed)
    assert [answer["verdict"] for answer in answers] == ["granted"] * 6
    assert money.counters(connection, period) == (0, 600)


@pytest.mark.parametrize("reservation_id", [str(UUID(int=1 << 80)), None], ids=["of a month without one", "none"])
def test_one_request_whose_id_falls_into_no_partition_waits_alone_and_is_not_at_fault(
    database: Database, acme: Organization, reservation_id: str | None
) -> None:
    connection = database.connect()
    period = money.open_period(connection, money.make_budget(acme, 10**16))
    tokens = money.tokens_of(connection, acme)
    requests = [money.a_request(acme, tokens, [period]) for _ in range(7)]
    requests[4]["id"] = reservation_id
    answers = reserve(database, requests)
    assert type(answers.pop(4)) is Busy
    assert [answer["verdict"] for answer in answers] == ["granted"] * 6
    assert money.counters(connection, period) == (0, 600)


def test_the_same_request_twice_in_a_batch_is_granted_and_holds_once(database: Database, acme: Organization) -> None:
    connection = database.connect()
    period = money.open_period(connection, money.make_budget(acme, 1000))
    tokens = money.tokens_of(connection, acme)
    twice, once = (money.a_request(acme, tokens, [period]) for _ in range(2))
    assert [answer["verdict"] for answer in reserve(database, [twice, once, twice])] == ["granted"] * 3
    assert money.counters(connection, period) == (0, 200)


def test_the_same_request_twice_in_a_batch_is_granted_also_where_the_cap_holds_it_once(
    database: Database, acme: Organization
) -> None:
    connection = database.connect()
    period = money.open_period(connection, money.make_budget(acme, 150))
    request = money.a_request(acme, money.tokens_of(connection, acme), [period])
    assert [answer["verdict"] for answer in reserve(database, [request, request])] == ["granted"] * 2
    assert money.counters(connection, period) == (0, 100)


def test_a_request_for_a_period_that_is_not_there_is_stale(database: Database, acme: Organization) -> None:
    connection = database.connect()
    period = money.open_period(connection, money.make_budget(acme, 1000))
    tokens = money.tokens_of(connection, acme)
    requests = [money.a_request(acme, tokens, periods) for periods in ([period], [999], [period, 999])]
    assert [answer["verdict"] for answer in reserve(database, requests)] == ["granted", "stale", "stale"]


@pytest.mark.parametrize("bad", BAD_ENDINGS)
def test_one_settle_that_cannot_be_booked_goes_to_quarantine_alone(
    database: Database, acme: Organization, bad: str
) -> None:
    connection = database.connect()
    period = money.open_period(connection, money.make_budget(acme, 10**16))
    tokens = money.tokens_of(connection, acme)
    requests = [money.a_request(acme, tokens, [period]) for _ in range(7)]
    money.reserve(connection, *requests)
    endings = [money.an_ending(request) for request in requests]
    endings[2].update(BAD_ENDINGS[bad])
    outcomes = [answer["outcome"] for answer in settle(database, endings)]
    assert outcomes == ["settled", "settled", "quarantined", "settled", "settled", "settled", "settled"]
    assert [str(row.reservation_id) for row in SettleQuarantine.objects.all()] == [requests[2]["id"]]
    assert money.counters(connection, period) == (360, 100)


def test_what_is_in_quarantine_is_expired_in_time(database: Database, acme: Organization) -> None:
    connection = database.connect()
    request = money.a_request(acme, money.tokens_of(connection, acme), [], lifetime_seconds=0)
    money.reserve(connection, request)
    settle(database, [money.an_ending(request, cost=-1)])
    assert expiring.sweep() == 1


def test_an_ending_that_comes_twice_in_a_batch_books_once(database: Database, acme: Organization) -> None:
    connection = database.connect()
    requests = [money.a_request(acme, money.tokens_of(connection, acme), []) for _ in range(3)]
    money.reserve(connection, *requests)
    endings = [money.an_ending(request) for request in [*requests, requests[0]]]
    outcomes = [answer["outcome"] for answer in settle(database, endings)]
    assert outcomes == ["settled", "settled", "settled", "already_settled"]


def test_a_settle_into_a_period_that_is_gone_goes_to_quarantine(database: Database, acme: Organization) -> None:
    connection = database.connect()
    requests = [money.a_request(acme, money.tokens_of(connection, acme), []) for _ in range(2)]
    money.reserve(connection, *requests)
    Reservation.objects.filter(id=requests[0]["id"]).update(period_ids=[999])
    outcomes = [answer["outcome"] for answer in settle(database, [money.an_ending(request) for request in requests])]
    assert outcomes == ["quarantined", "settled"]


def test_a_locked_budget_makes_only_its_own_organization_busy(database: Database, acme: Organization) -> None:
    connection, holder = database.connect(), database.connect()
    globex = money.make_organization("globex")
    periods = {org: money.open_period(connection, money.make_budget(org, 1000)) for org in (acme, globex)}
    holder.execute("BEGIN")
    holder.execute("SELECT budgets_lock_periods_v1(%s)", ([periods[acme]],))
    requests = [
        money.a_request(org, money.tokens_of(connection, org), [periods[org]]) for org in (acme, globex, acme, globex)
    ]
    stuck, free, stuck_too, free_too = reserve(database, requests)
    assert isinstance(stuck, Busy)
    assert isinstance(stuck_too, Busy)
    assert free["verdict"] == free_too["verdict"] == "granted"
    holder.execute("COMMIT")
    assert [money.counters(connection, periods[org]) for org in (acme, globex)] == [(0, 0), (0, 200)]
