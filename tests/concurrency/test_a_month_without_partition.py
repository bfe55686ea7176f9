"""Spend of a month whose partition nobody made is no bad data: it waits, and is booked exactly once it is made."""

import logging
from typing import Any

import psycopg
import pytest

from apps.budgets import expiring, maintenance
from apps.budgets.models import SettleQuarantine
from apps.orgs.models import Organization
from apps.outbox.models import OutboxMessage
from tests.budgets import money
from tests.concurrency.callers import Connection
from tests.concurrency.test_poisoned_batches import settle
from tests.databases import Database

TABLES = ["ledger_ledgerentry", "ledger_spendevent"]


@pytest.fixture
def connection(database: Database) -> Connection:
    connection = database.connect()
    money.beat(connection)
    return connection


@pytest.fixture
def acme(connection: Connection) -> Organization:
    return money.make_organization()


@pytest.fixture
def period(connection: Connection, acme: Organization) -> int:
    return money.open_period(connection, money.make_budget(acme, 10**6))


def reserved(connection: Connection, acme: Organization, period: int, count: int, **fields: Any) -> list[Any]:
    tokens = money.tokens_of(connection, acme)
    requests = [money.a_request(acme, tokens, [period], **fields) for _ in range(count)]
    assert {answer["verdict"] for answer in money.reserve(connection, *requests)} == {"granted"}
    return requests


def lose_this_month(connection: Connection, table: str = "ledger_ledgerentry") -> None:
    connection.execute(f"DROP TABLE {table}_{money.now_of(connection):%Y_%m}")


def quarantined() -> list[str]:
    return [str(row.reservation_id) for row in SettleQuarantine.objects.all()]


@pytest.mark.parametrize("table", TABLES)
def test_a_settle_is_left_to_its_caller_until_the_partition_is_made(
    database: Database, connection: Connection, acme: Organization, period: int, table: str
) -> None:
    endings = [money.an_ending(request) for request in reserved(connection, acme, period, 7)]
    lose_this_month(connection, table)
    for _ in range(2):
        with pytest.raises(psycopg.errors.CheckViolation):
            settle(database, endings)
    assert (quarantined(), money.counters(connection, period)) == ([], (0, 700))
    assert maintenance.ensure_partitions() == 1
    assert [answer["outcome"] for answer in settle(database, endings)] == ["settled"] * 7
    assert money.amounts_booked(connection) == [("charge", "final", "settled", 60)] * 7
    assert money.counters(connection, period) == (420, 0)


def test_an_ending_that_can_not_be_booked_at_all_goes_to_quarantine_once_while_the_others_wait(
    database: Database, connection: Connection, acme: Organization, period: int
) -> None:
    endings = [money.an_ending(request) for request in reserved(connection, acme, period, 7)]
    endings[0]["cost_nanos"] = -1
    endings[4]["model"] = "gpt\0"
    lose_this_month(connection)
    for _ in range(3):
        with pytest.raises(psycopg.errors.CheckViolation):
            settle(database, endings)
    assert set(quarantined()) <= {endings[0]["id"], endings[4]["id"]}
    assert len(quarantined()) == len(set(quarantined()))
    maintenance.ensure_partitions()
    outcomes = [answer["outcome"] for answer in settle(database, endings)]
    assert outcomes == ["quarantined", "settled", "settled", "settled", "quarantined", "settled", "settled"]
    assert sorted(quarantined()) == sorted([endings[0]["id"], endings[4]["id"]])
    assert OutboxMessage.objects.filter(topic="budgets.ending_quarantined").count() == 2


def test_an_ending_that_is_refused_again_after_somebody_has_looked_is_kept_again(
    database: Database, connection: Connection, acme: Organization, period: int
) -> None:
    [request] = reserved(connection, acme, period, 1)
    ending = money.an_ending(request, cost=-1)
    settle(database, [ending])
    SettleQuarantine.objects.update(resolved_at=money.now_of(connection))
    settle(database, [ending])
    assert quarantined() == [request["id"]] * 2


def test_a_sweep_leaves_what_is_due_open_and_says_so_once(
    database: Database, connection: Connection, acme: Organization, period: int, caplog: pytest.LogCaptureFixture
) -> None:
    globex = money.make_organization("globex")
    others = money.open_period(connection, money.make_budget(globex, 10**6))
    reserved(connection, acme, period, 3, lifetime_seconds=0)
    reserved(connection, globex, others, 2, lifetime_seconds=0)
    lose_this_month(connection)
    with caplog.at_level(logging.WARNING, logger="apps.budgets.expiring"):
        assert expiring.sweep() == 0
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "5 reservations" in caplog.text
    assert "partition" in caplog.text
    assert (quarantined(), money.counters(connection, period)) == ([], (0, 300))
    maintenance.ensure_partitions()
    assert expiring.sweep() == 5
    assert money.counters(connection, period) == (300, 0)


def test_a_sweep_quarantines_what_no_partition_would_help(
    database: Database, connection: Connection, acme: Organization, period: int
) -> None:
    requests = reserved(connection, acme, period, 3, lifetime_seconds=0)
    connection.execute("UPDATE budgets_reservation SET period_ids = '{999}' WHERE id = %s", (requests[0]["id"],))
    lose_this_month(connection)
    for _ in range(2):
        assert expiring.sweep() == 0
        assert quarantined() in ([], [requests[0]["id"]]), "only where no other comes before it"
    maintenance.ensure_partitions()
    assert expiring.sweep() == 2
    assert quarantined() == [requests[0]["id"]]
