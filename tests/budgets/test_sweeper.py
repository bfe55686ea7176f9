import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from apps.audit.models import AuditRecord
from apps.budgets import ending, expiring, maintenance, quarantining
from apps.budgets.models import GatewayProcess, SettleQuarantine
from apps.orgs.models import Organization
from spendra.kernel.errors import Conflict, Invalid, NotFound
from tests.budgets import money
from tests.databases import Database

DEAD = str(UUID(int=8))
Connection = psycopg.Connection[Any]


def reserved(connection: Connection, acme: Organization, periods: list[int], **fields: Any) -> dict[str, Any]:
    request = money.a_request(acme, money.tokens_of(connection, acme), periods, **fields)
    assert money.verdict(connection, request) == "granted"
    return request


def states(connection: Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT id::text, state FROM budgets_reservation").fetchall())


def test_a_sweep_expires_what_is_dead_or_over_and_leaves_what_lives(connection: Connection, acme: Organization) -> None:
    period = money.open_period(connection, money.make_budget(acme, 1000))
    money.beat(connection, DEAD, seconds_ago=31)
    living = reserved(connection, acme, [period])
    never_seen = reserved(connection, acme, [period], process_id=str(UUID(int=9)))
    dead = reserved(connection, acme, [period], process_id=DEAD)
    over = reserved(connection, acme, [period], lifetime_seconds=0)
    assert expiring.sweep() == 3
    assert states(connection) == {
        living["id"]: "open", never_seen["id"]: "expired", dead["id"]: "expired", over["id"]: "expired",
    }  # fmt: skip
    assert money.counters(connection, period) == (300, 100)
    assert expiring.sweep() == 0


def test_what_expires_into_a_month_without_partition_waits_for_it(connection: Connection, acme: Organization) -> None:
    period = money.open_period(connection, money.make_budget(acme, 1000))
    reserved(connection, acme, [period], process_id=DEAD)
    for table in ("ledger_ledgerentry", "ledger_spendevent"):
        connection.execute(f"DROP TABLE {table}_{datetime.now(UTC):%Y_%m}")
    assert expiring.sweep() == 0
    assert not SettleQuarantine.objects.exists()
    assert maintenance.ensure_partitions() == 2
    assert expiring.sweep() == 1
    assert money.counters(connection, period) == (100, 0)


def test_more_than_a_batch_is_swept_at_once(connection: Connection, acme: Organization) -> None:
    period = money.open_period(connection, money.make_budget(acme, 10**9))
    tokens = money.tokens_of(connection, acme)
    requests = [money.a_request(acme, tokens, [period], process_id=DEAD) for _ in range(600)]
    for first in range(0, 600, 256):
        money.reserve(connection, *requests[first : first + 256])
    assert expiring.sweep() == 600
    assert money.counters(connection, period) == (60_000, 0)


def test_one_reservation_that_cannot_end_does_not_keep_the_others(connection: Connection, acme: Organization) -> None:
    period = money.open_period(connection, money.make_budget(acme, 1000))
    fine = [reserved(connection, acme, [period], process_id=DEAD) for _ in range(3)]
    broken = reserved(connection, acme, [period], process_id=DEAD)
    connection.execute("UPDATE budgets_reservation SET period_ids = '{999999}' WHERE id = %s", (broken["id"],))
    assert expiring.sweep() == 3
    assert states(connection) == {**{request["id"]: "expired" for request in fine}, broken["id"]: "open"}
    assert [str(row.reservation_id) for row in SettleQuarantine.objects.all()] == [broken["id"]]
    assert expiring.sweep() == 0
    assert SettleQuarantine.objects.count() == 1


def test_twenty_organizations_that_somebody_holds_do_not_delay_another(
    database: Database, connection: Connection, acme: Organization
) -> None:
    held = [money.make_organization(f"held-{number}") for number in range(20)]
    free = money.make_organization("last")
    periods = {one: money.open_period(connection, money.make_budget(one, 1000)) for one in (*held, free)}
    for one, period in periods.items():
        reserved(connection, one, [period], process_id=DEAD)
    holder = database.connect(autocommit=False)
    holder.execute("SELECT budgets_lock_periods_v1(%s)", ([periods[one] for one in held],))
    began = time.monotonic()
    assert expiring.sweep() == 1
    assert time.monotonic() - began < 15, "each by itself waited for a second and a half"
    assert money.counters(connection, periods[free]) == (100, 0)
    holder.rollback()
    assert expiring.sweep() == 20


def test_a_settle_in_quarantine_does_not_keep_its_reservation_from_expiring(
    connection: Connection, acme: Organization
) -> None:
    request = reserved(connection, acme, [], process_id=DEAD)
    SettleQuarantine.objects.create(
        reservation_id=request["id"], payload="what the gateway sent", error="", created_at=money.now_of(connection)
    )
    assert expiring.sweep() == 1


def test_an_expiry_in_quarantine_is_swept_again_once_somebody_has_mended_its_cause(
    connection: Connection, acme: Organization
) -> None:
    period = money.open_period(connection, money.make_budget(acme, 1000))
    request = reserved(connection, acme, [period], process_id=DEAD)
    connection.execute("UPDATE budgets_reservation SET period_ids = '{999999}' WHERE id = %s", (request["id"],))
    assert expiring.sweep() == 0
    [first] = SettleQuarantine.objects.all()
    quarantining.resolve(first.id, acting="ann@example.com", reason="looked at")
    assert expiring.sweep() == 0  # not mended
    [second] = SettleQuarantine.objects.filter(resolved_at=None)
    connection.execute("UPDATE budgets_reservation SET period_ids = %s WHERE id = %s", ([period], request["id"]))
    quarantining.resolve(second.id, acting="ann@example.com", reason="its period is back")
    assert expiring.sweep() == 1
    assert money.counters(connection, period) == (100, 0)
    records = AuditRecord.objects.filter(action="budgets.resolve_quarantined").order_by("id")
    assert [(record.actor, record.reason) for record in records] == [
        ("ann@example.com", "looked at"), ("ann@example.com", "its period is back"),
    ]  # fmt: skip


def test_a_quarantined_settle_is_resolved_once_and_with_a_reason(connection: Connection, acme: Organization) -> None:
    request = reserved(connection, acme, [])
    kept = SettleQuarantine.objects.create(
        reservation_id=request["id"], payload="sent", error="", created_at=money.now_of(connection)
    )
    with pytest.raises(Invalid):
        quarantining.resolve(kept.id, acting="ann@example.com", reason=" ")
    with pytest.raises(NotFound):
        quarantining.resolve(UUID(int=1), acting="ann@example.com", reason="seen")
    quarantining.resolve(kept.id, acting="ann@example.com", reason="seen")
    with pytest.raises(Conflict):
        quarantining.resolve(kept.id, acting="ann@example.com", reason="seen")


def test_processes_long_dead_are_forgotten(connection: Connection, acme: Organization) -> None:
    money.beat(connection, DEAD, seconds_ago=2 * 86_400)
    reserved(connection, acme, [], process_id=DEAD)
    expiring.sweep()
    assert set(map(str, GatewayProcess.objects.values_list("id", flat=True))) == {money.PROCESS}


def test_a_person_ends_a_living_reservation_and_the_audit_says_so(connection: Connection, acme: Organization) -> None:
    request = reserved(connection, acme, [])
    ended = ending.end_by_hand(UUID(request["id"]), organization=acme, acting="ann@example.com", reason="stuck")
    assert (ended.state, ended.end_cause, ended.booked_nanos) == ("expired", "by_hand", 100)
    [record] = AuditRecord.objects.filter(action="budgets.end_reservation")
    assert (record.object_id, record.actor, record.reason) == (request["id"], "ann@example.com", "stuck")
    with pytest.raises(Conflict):
        ending.end_by_hand(UUID(request["id"]), organization=acme, acting="ann@example.com", reason="again")
    assert AuditRecord.objects.filter(object_id=request["id"]).count() == 1


def test_another_organizations_reservation_is_not_found(connection: Connection, acme: Organization) -> None:
    request = reserved(connection, acme, [])
    with pytest.raises(NotFound):
        ending.end_by_hand(
            UUID(request["id"]), organization=money.make_organization("other"), acting="bob@example.com", reason=""
        )
    assert states(connection) == {request["id"]: "open"}
