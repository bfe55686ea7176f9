import json
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from apps.budgets.models import Period
from apps.budgets.verifying import verify
from tests.budgets import money
from tests.databases import Database

Connection = psycopg.Connection[Any]
ENTRY = (
    "INSERT INTO ledger_ledgerentry SELECT gen_random_uuid(), organization_id, {reservation}, NULL, {corrects}, "
    "{kind}, status, cause, amount_nanos, tokens, provider, model, key_id, actor_id, scope_ids, period_ids, "
    "occurred_at, booked_at FROM ledger_ledgerentry WHERE cause = 'settled'"
)
OF_NANOS, OF_REQUESTS = (
    f"budget_id = (SELECT id FROM budgets_budget WHERE measure = '{measure}')" for measure in ("nanos", "requests")
)
MORE_SETTLED = f"UPDATE budgets_period SET settled = settled + 1 WHERE {OF_NANOS}"
ANOTHER_CHARGE = ENTRY.format(reservation="reservation_id", corrects="NULL", kind="'charge'")
ANOTHER_MONTH = ANOTHER_CHARGE.replace("occurred_at, booked_at", "occurred_at, booked_at + interval '40 days'")
CORRECTION = ENTRY.format(reservation="reservation_id", corrects="gen_random_uuid()", kind="'correction'")
ORPHAN = ENTRY.format(reservation="gen_random_uuid()", corrects="NULL", kind="'charge'")


@pytest.fixture
def connection(database: Database) -> Connection:
    """Books with one reservation in each state: open, settled, voided, expired, corrected late, recovered."""
    connection = database.connect()
    money.beat(connection)
    acme = money.make_organization()
    payer = money.make_key(acme, money.make_unit(acme))
    period = money.open_period(connection, money.make_budget(acme, 10_000))
    counted = money.open_period(connection, money.make_budget(acme, 100, measure="requests"))
    tokens = money.tokens_of(connection, acme)
    requests = [money.a_request(acme, tokens, [period, counted], **payer) for _ in range(7)]
    _, settled, voided, expired, late, late_void, recovered = requests
    money.reserve(connection, *requests[:6])
    for request in (expired, late, late_void):
        money.end(connection, money.an_ending(request, "expire", by_hand=True))
    money.end(connection, money.an_ending(settled), money.an_ending(voided, "void"), money.an_ending(late))
    money.end(connection, money.an_ending(late_void, "void"))
    money.end(connection, money.an_ending(recovered))
    return connection


def checks() -> set[str]:
    return {difference.check for difference in verify()}


def test_books_with_every_kind_of_ending_are_clean(connection: Connection) -> None:
    assert checks() == set()
    of_nanos, of_requests = Period.objects.order_by("id").values_list("id", flat=True)
    assert money.counters(connection, of_nanos) == (60 + 100 + 60 + 0 + 60, 100)
    assert money.counters(connection, of_requests) == (4, 1)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (MORE_SETTLED, {"period_settled"}),
        (f"UPDATE budgets_period SET seeded = seeded + 1 WHERE {OF_REQUESTS}", {"period_settled"}),
        (f"UPDATE budgets_period SET reserved = reserved - 1 WHERE {OF_NANOS}", {"period_reserved"}),
        (f"UPDATE budgets_period SET reserved = -1 WHERE {OF_REQUESTS}", {"period_reserved", "period_not_negative"}),
        (f"UPDATE budgets_period SET unit_id = gen_random_uuid() WHERE {OF_NANOS}", {"period_unit"}),
        (f"UPDATE budgets_period SET budget_id = gen_random_uuid() WHERE {OF_NANOS}", {"period_budget"}),
        ("UPDATE budgets_reservation SET state = 'open' WHERE state = 'voided'",
         {"period_reserved", "reservation_ended"}),
        ("UPDATE budgets_reservation SET state = 'voided' WHERE end_cause = 'settled'", {"reservation_charges"}),
        ("UPDATE budgets_reservation SET is_late = NOT is_late WHERE state = 'expired'",
         {"reservation_corrections", "entry_correction"}),
        ("UPDATE budgets_reservation SET booked_nanos = 61 WHERE end_cause = 'settled'", {"reservation_booked_nanos"}),
        ("UPDATE budgets_reservation SET booked_tokens = 7 WHERE end_cause = 'settled'", {"reservation_booked_tokens"}),
        ("UPDATE budgets_reservation SET entry_id = NULL WHERE end_cause = 'settled'",
         {"reservation_entry", "entry_charge"}),
        ("UPDATE budgets_reservation SET key_id = 'gone' WHERE end_cause = 'settled'", {"reservation_key"}),
        ("UPDATE budgets_reservation SET period_ids = '{1,999}' WHERE end_cause = 'settled'",
         {"reservation_periods", "entry_periods"}),
        ("UPDATE budgets_reservation SET organization_id = gen_random_uuid() WHERE end_cause = 'settled'",
         {"reservation_organization", "reservation_periods", "entry_organization"}),
        ("UPDATE budgets_reservation SET actor_id = gen_random_uuid() WHERE end_cause = 'settled'",
         {"reservation_actor"}),
        ("UPDATE budgets_reservation SET ended_at = ended_at - interval '3 days' WHERE end_cause = 'settled'",
         {"reservation_charges", "reservation_entry", "reservation_booked_nanos", "reservation_booked_tokens"}),
        (ANOTHER_CHARGE, {"period_settled", "reservation_charges", "reservation_booked_nanos",
                          "reservation_booked_tokens", "entry_charge"}),
        (ANOTHER_MONTH, {"period_settled", "entry_charge"}),
        (CORRECTION, {"period_settled", "reservation_corrections", "entry_charge", "entry_correction",
                      "reservation_booked_nanos", "reservation_booked_tokens"}),
        (ORPHAN, {"period_settled", "entry_reservation"}),
        ("INSERT INTO ledger_spendevent SELECT gen_random_uuid(), organization_id, reservation_id, provider, model, "
         "usage, price_version_id, cost_nanos, status, occurred_at, booked_at FROM ledger_spendevent LIMIT 1",
         {"spend_event_entry"}),
    ],
)  # fmt: skip
def test_damage_is_found(connection: Connection, damage: str, found: set[str]) -> None:
    connection.execute(damage)
    assert checks() == found


def test_the_command_says_on_stderr_what_it_has_read(connection: Connection) -> None:
    out, progress = StringIO(), StringIO()
    call_command("ledger_verify", "--full", "--json", stdout=out, stderr=progress)
    assert json.loads(out.getvalue()) == {"is_clean": True, "differences": [], "quarantined": 0}
    assert progress.getvalue() == "Rows read: references 7, reservations 7, spend_events 3, entries 7, periods 2\n"


def test_the_command_prints_the_rows_and_fails(connection: Connection) -> None:
    call_command("ledger_verify", stdout=StringIO())
    connection.execute(MORE_SETTLED)
    period = Period.objects.get(budget__measure="nanos")
    out = StringIO()
    with pytest.raises(CommandError, match="1 rows differ"):
        call_command("ledger_verify", "--json", stdout=out)
    difference = {"check": "period_settled", "object_id": str(period.id), "found": "281", "expected": "280"}
    assert json.loads(out.getvalue()) == {"is_clean": False, "differences": [difference], "quarantined": 0}
