"""Requests whose reservation, entry and correction lie in different months, some of which are gone."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest

from apps.budgets import retention
from tests.budgets import money
from tests.databases import Database
from tests.retention.months import Past, differences, make_past, partitions
from tests.rollups import booking


@pytest.fixture
def past(database: Database) -> Past:
    return make_past(database)


@contextmanager
def on_the_last_second_of(past: Past, month: int) -> Iterator[None]:
    """Everything else is as it was afterwards; the books are delivered."""
    now = money.now_of(past.connection)
    past.go_to(past.months[month + 1].replace(day=1, hour=0) - timedelta(milliseconds=500))
    yield
    past.go_to(now)
    booking.deliver_all()


def apply(past: Past, month: int) -> None:
    """Drops months up to this one."""
    done = retention.apply(months=len(past.months) - 2 - month, acting="ann@example.com")
    assert [(month.state, month.month.month) for month in done] == [
        ("dropped", gone.month) for gone in past.months[: month + 1]
    ]


def test_reserved_in_a_dropped_month_and_settled_in_a_kept_one(past: Past) -> None:
    with on_the_last_second_of(past, 1):
        request, other, void = past.reserve(), past.reserve(), past.reserve()
        past.go_to(past.months[2])
        assert past.settle(request) == "settled"
        assert past.settle(void, "void") == "voided"
        assert past.settle(other, "expire", by_hand=True) == "expired"
        assert past.settle(other, cost=70) == "late"
    assert differences() == []
    apply(past, 1)
    assert differences() == []
    apply_rest = retention.apply(months=3, acting="ann@example.com")
    assert [month.state for month in apply_rest] == ["dropped"]
    assert differences() == []


def test_settled_in_a_dropped_month_by_an_id_of_a_kept_one(past: Past) -> None:
    """The clock of a gateway was ahead of the database's."""
    with on_the_last_second_of(past, 1):
        ahead = past.reserve(ahead=timedelta(seconds=2))
        past.settle(ahead)
        late = past.reserve(ahead=timedelta(seconds=2))
        past.settle(late, "expire", by_hand=True)
    apply(past, 1)
    assert past.settle(ahead) == "already_settled"
    assert differences() == []
    # Its charge is gone; the reservation knows what it was.
    assert past.settle(late, cost=70) == "late"
    assert differences() == []
    [correction] = past.connection.execute(
        "SELECT amount_nanos, corrects_id IS NOT NULL FROM ledger_ledgerentry WHERE reservation_id = %s", [late["id"]]
    ).fetchall()
    assert correction == (-30, True)


def test_corrected_while_its_month_is_archived_and_still_there(database: Database, past: Past) -> None:
    with on_the_last_second_of(past, 0):
        late, void = past.expire(), past.expire()
    holder = database.connect(autocommit=False)
    holder.execute("LOCK TABLE budgets_reservation IN SHARE UPDATE EXCLUSIVE MODE")
    done = retention.apply(months=5, acting="ann@example.com")
    assert [month.state for month in done] == ["archived"]
    assert partitions(past.connection, past.months[0]) == ["budgets_reservation"]
    assert past.settle(late, cost=70) == "late"
    assert past.settle(void, "void") == "late"
    assert differences() == []
    holder.rollback()
    apply(past, 0)
    assert differences() == []


def test_an_ending_of_a_dropped_reservation_is_refused_as_bad_data(past: Past) -> None:
    """Whether it was settled is not known any more: the gateway quarantines it, and nothing is booked twice."""
    with on_the_last_second_of(past, 1):
        expired = past.expire()
    apply(past, 1)
    before = money.counters(past.connection, past.shop.periods[0])
    for kind in ("settle", "void"):
        with pytest.raises(psycopg.errors.CheckViolation, match="no partition"):
            past.settle(expired, kind)
    assert money.counters(past.connection, past.shop.periods[0]) == before
    assert differences() == []
