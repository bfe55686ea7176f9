"""The transition table of docs/money-and-locks.md, line by line."""

from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from apps.orgs.models import Organization
from tests.budgets import money
from tests.databases import Database


@dataclass
class Till:
    """One organization with one cap of 1,000 nanos and a living gateway process."""

    connection: psycopg.Connection[Any]
    organization: Organization
    period: int

    def request(self, **fields: Any) -> dict[str, Any]:
        tokens = money.tokens_of(self.connection, self.organization)
        return money.a_request(self.organization, tokens, [self.period], **fields)

    def reserved(self, **fields: Any) -> dict[str, Any]:
        request = self.request(**fields)
        assert money.verdict(self.connection, request) == "granted"
        return request

    def expired(self) -> dict[str, Any]:
        request = self.reserved()
        money.beat(self.connection, seconds_ago=31)
        assert self.end(request, "expire") == "expired"
        return request

    def end(self, request: dict[str, Any], kind: str = "settle", **fields: Any) -> str:
        return money.outcome(self.connection, money.an_ending(request, kind, **fields))

    def counters(self) -> tuple[int, int]:
        return money.counters(self.connection, self.period)

    def booked(self) -> list[tuple[str, str, str, int]]:
        return money.amounts_booked(self.connection)

    def state(self, request: dict[str, Any]) -> tuple[Any, ...]:
        row = self.connection.execute(
            "SELECT state, end_cause, is_late, booked_nanos FROM budgets_reservation WHERE id = %s", (request["id"],)
        ).fetchone()
        assert row is not None
        return row


@pytest.fixture
def till(database: Database) -> Till:
    connection = database.connect()
    organization = money.make_organization()
    budget = money.make_budget(organization, 1000)
    money.beat(connection)
    return Till(connection, organization, money.open_period(connection, budget))


def test_a_reserve_holds_its_amount(till: Till) -> None:
    till.reserved()
    assert till.counters() == (0, 100)
    assert till.booked() == []


def test_a_settle_replaces_the_amount_by_the_cost(till: Till) -> None:
    request = till.reserved()
    assert till.end(request) == "settled"
    assert till.counters() == (60, 0)
    assert till.booked() == [("charge", "final", "settled", 60)]
    assert till.state(request) == ("settled", "settled", False, 60)


def test_a_cost_above_the_amount_is_booked_whole_as_overage(till: Till) -> None:
    request = till.reserved()
    assert till.end(request, cost=160) == "settled"
    assert till.counters() == (160, 0)
    assert till.booked() == [("charge", "final", "overage", 160)]


def test_a_void_frees_the_amount_and_books_nothing(till: Till) -> None:
    request = till.reserved()
    assert till.end(request, "void") == "voided"
    assert till.counters() == (0, 0)
    assert till.booked() == []


def test_an_expiry_books_the_amount_as_estimated(till: Till) -> None:
    request = till.expired()
    assert till.counters() == (100, 0)
    assert till.booked() == [("charge", "estimated", "expired", 100)]
    assert till.state(request) == ("expired", "expired", False, 100)


def test_a_living_process_keeps_its_reservation(till: Till) -> None:
    request = till.reserved()
    assert till.end(request, "expire") == "alive"
    assert till.counters() == (0, 100)


def test_a_reservation_past_its_longest_time_expires_although_its_process_lives(till: Till) -> None:
    request = till.reserved(lifetime_seconds=0)
    assert till.end(request, "expire") == "expired"


def test_a_person_may_end_a_living_reservation(till: Till) -> None:
    request = till.reserved()
    assert till.end(request, "expire", by_hand=True) == "expired"
    assert till.booked() == [("charge", "estimated", "by_hand", 100)]


@pytest.mark.parametrize("cost", [30, 100, 170])
def test_a_settle_after_the_expiry_books_the_difference_once(till: Till, cost: int) -> None:
    request = till.expired()
    assert till.end(request, cost=cost) == "late"
    assert till.end(request, cost=cost + 1) == "already_expired"
    assert till.counters() == (cost, 0)
    assert till.booked()[1:] == [("correction", "final", "late_settle", cost - 100)]
    assert till.state(request) == ("expired", "expired", True, cost)


def test_a_void_after_the_expiry_takes_the_estimate_back_once(till: Till) -> None:
    request = till.expired()
    assert till.end(request, "void") == "late"
    assert till.end(request, "settle") == "already_expired"
    assert till.counters() == (0, 0)
    assert till.booked()[1:] == [("correction", "final", "late_void", -100)]


def test_a_correction_points_at_the_entry_that_it_corrects(till: Till) -> None:
    till.end(till.expired())
    rows = till.connection.execute("SELECT id, corrects_id FROM ledger_ledgerentry ORDER BY booked_at").fetchall()
    assert rows[1][1] == rows[0][0]


@pytest.mark.parametrize("first", ["settle", "void"])
@pytest.mark.parametrize("second", ["settle", "void", "expire"])
def test_an_ended_reservation_ignores_every_other_ending(till: Till, first: str, second: str) -> None:
    request = till.reserved()
    till.end(request, first)
    before = (till.counters(), till.booked(), till.state(request))
    assert till.end(request, second, by_hand=True).startswith("already_")
    assert (till.counters(), till.booked(), till.state(request)) == before


def test_a_settle_of_a_lost_reservation_books_once(till: Till) -> None:
    request = till.request()
    assert till.end(request) == "recovered"
    assert till.end(request) == "already_settled"
    assert till.counters() == (60, 0)
    assert till.booked() == [("charge", "final", "recovered", 60)]


def test_a_void_of_an_unknown_reservation_leaves_a_tombstone_that_stops_its_late_reserve(till: Till) -> None:
    request = till.request()
    assert till.end(request, "void") == "already_voided"
    assert till.state(request) == ("voided", "tombstone", False, 0)
    assert money.verdict(till.connection, request) == "ended"
    assert till.counters() == (0, 0)


def test_an_expiry_of_an_unknown_reservation_does_nothing(till: Till) -> None:
    assert money.end(till.connection, money.an_ending(till.request(), "expire")) == []


def test_a_reserve_repeated_with_its_id_is_granted_again_and_holds_once(till: Till) -> None:
    request = till.reserved()
    assert money.verdict(till.connection, request) == "granted"
    assert till.counters() == (0, 100)
    till.end(request)
    assert money.verdict(till.connection, request) == "ended"


def test_an_unknown_kind_of_ending_ends_nothing(till: Till) -> None:
    request = till.reserved(lifetime_seconds=0)
    assert till.end(request, "refund") == "alive"
    assert till.counters() == (0, 100)


def test_each_entry_says_what_it_was_for(till: Till) -> None:
    request = till.reserved()
    ending = money.an_ending(request, model="gpt-test-2025")
    money.end(till.connection, ending)
    row = till.connection.execute(
        "SELECT e.id::text, e.spend_event_id::text, e.reservation_id::text, e.model, e.period_ids, "
        "e.scope_ids::text[], e.occurred_at = r.reserved_at, s.usage, s.cost_nanos, o.payload ->> 'amount_nanos' "
        "FROM ledger_ledgerentry e JOIN budgets_reservation r ON r.id = e.reservation_id "
        "JOIN ledger_spendevent s ON s.id = e.spend_event_id JOIN outbox_outboxmessage o ON o.id = e.id"
    ).fetchall()
    entry = ending["entry_id"]
    scopes = [str(till.organization.id)]
    assert row == [(entry, entry, request["id"], "gpt-test-2025", [till.period], scopes, True, {"input": 1}, 60, "60")]
