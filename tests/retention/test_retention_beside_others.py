"""Traffic, the proof and other runs, all at once."""

import threading
from functools import partial

import pytest

from apps.budgets import retention
from apps.budgets.connecting import SERVER_OPTIONS
from apps.budgets.verifying import verify
from apps.ledger import retention_partitions
from spendra.kernel.errors import Conflict
from tests.budgets import money
from tests.concurrency.callers import in_parallel, meanwhile
from tests.databases import Database
from tests.retention.months import Past, differences, make_past
from tests.rollups import booking


@pytest.fixture
def past(database: Database) -> Past:
    return make_past(database)


def apply(months: int) -> list[str]:
    return [done.state for done in retention.apply(months=months, acting="ann@example.com")]


def test_a_second_run_is_refused_and_leaves_the_first_alone(past: Past) -> None:
    with retention_partitions.alone(), pytest.raises(Conflict, match="Another run"):
        apply(3)
    assert apply(3) == ["dropped"] * 3


def test_requests_and_proofs_go_on_meanwhile(database: Database, past: Past) -> None:
    """On connections that give up a statement after two seconds: none is stalled, and no proof sees a difference."""
    is_over = threading.Event()

    def spend(payer: Past) -> int:
        rounds = 0
        while not is_over.is_set() or not rounds:
            payer.spend_as_usual()
            rounds += 1
        return rounds

    def prove() -> list[object]:
        found: list[object] = []
        while not is_over.is_set():
            found += verify()
            found += verify(full=True)
        return found

    payers = [
        Past(booking.Shop(database.connect(options=SERVER_OPTIONS), past.shop.organization, past.shop.team,
                          past.shop.actor, past.shop.periods), past.months)
        for _ in range(2)
    ]  # fmt: skip
    with meanwhile(prove) as proof, meanwhile(lambda: in_parallel(*(partial(spend, payer) for payer in payers))):
        try:
            states = []
            for months in (5, 4, 3):
                states += again(months)
        finally:
            is_over.set()
    assert states == ["dropped"] * 3
    assert proof.result() == []
    assert differences() == []


def again(months: int) -> list[str]:
    """A full proof that runs meanwhile forgets what this one had proved: the next run finds it again."""
    while True:
        try:
            states = apply(months)
        except Conflict:
            continue
        if "archived" not in states:
            return states


def test_a_reader_that_stays_puts_the_rest_off(database: Database, past: Past) -> None:
    reader = database.connect(autocommit=False)
    reader.execute("SELECT count(*) FROM ledger_ledgerentry")
    [first] = retention.apply(months=5, acting="ann@example.com")
    assert first.state == "archived"
    assert "Somebody reads ledger_ledgerentry" in first.why
    assert money.counters(past.connection, past.shop.periods[0])[1] == 0
    past.spend_as_usual()
    assert differences() == []
    reader.rollback()
    assert apply(5) == ["dropped"]
    assert differences() == []


def test_a_reader_that_stays_puts_off_every_month_behind_the_first(database: Database, past: Past) -> None:
    """Postgres detaches one partition of a table at a time: the next month is not even begun."""
    reader = database.connect(autocommit=False)
    reader.execute("SELECT count(*) FROM ledger_ledgerentry")
    assert apply(3) == ["archived"]
    assert apply(3) == ["archived"]
    past.spend_as_usual()
    assert differences() == []
    reader.rollback()
    assert apply(3) == ["dropped"] * 3
    assert differences() == []
