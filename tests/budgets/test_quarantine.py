"""What Postgres refused to book is told, tried again once its cause is mended, or dismissed, each time with a name."""

import json
from io import StringIO
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core.management import call_command

from apps.audit.models import AuditRecord
from apps.budgets import ending, expiring, quarantining
from apps.budgets.models import Reservation, SettleQuarantine
from apps.orgs.models import Organization
from apps.outbox.models import OutboxMessage
from spendra.kernel.errors import Conflict, Invalid
from spendra.management import database_checks
from tests.budgets import money
from tests.concurrency.test_poisoned_batches import settle
from tests.databases import Database

Connection = psycopg.Connection[Any]
TOPIC = "budgets.ending_quarantined"


@pytest.fixture
def period(connection: Connection, acme: Organization) -> int:
    return money.open_period(connection, money.make_budget(acme, 1000))


def reserved(connection: Connection, acme: Organization, period: int, **fields: Any) -> dict[str, Any]:
    request = money.a_request(acme, money.tokens_of(connection, acme), [period], **fields)
    assert money.verdict(connection, request) == "granted"
    return request


def names_period(connection: Connection, request: dict[str, Any], period: int) -> None:
    """999 is none: whoever ends this reservation is refused."""
    connection.execute("UPDATE budgets_reservation SET period_ids = %s WHERE id = %s", ([period], request["id"]))


def waiting() -> SettleQuarantine:
    return SettleQuarantine.objects.get(resolved_at=None)


def retry(**said: Any) -> str:
    return quarantining.retry(waiting().id, acting="ann@example.com", **{"reason": "mended", **said})["outcome"]


def run(*arguments: str) -> Any:
    out = StringIO()
    call_command(*arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_a_settle_in_quarantine_is_a_fact_of_the_outbox(
    database: Database, connection: Connection, acme: Organization, period: int
) -> None:
    request = reserved(connection, acme, period)
    settle(database, [money.an_ending(request, cost=-1)])
    fact = OutboxMessage.objects.get(topic=TOPIC)
    assert fact.organization_id == acme.id
    assert fact.payload == {
        "quarantined_id": str(waiting().id), "reservation_id": request["id"], "kind": "settle",
        "error": waiting().error.splitlines()[0],
    }  # fmt: skip
    assert "booked_nanos" in fact.payload["error"]


def test_an_expiry_in_quarantine_is_a_fact_of_its_organization(
    connection: Connection, acme: Organization, period: int
) -> None:
    request = reserved(connection, acme, period, lifetime_seconds=0)
    names_period(connection, request, 999)
    assert expiring.sweep() == 0
    fact = OutboxMessage.objects.get(topic=TOPIC)
    assert (fact.organization_id, waiting().organization_id) == (acme.id, acme.id)
    assert (fact.payload["kind"], fact.payload["reservation_id"]) == ("expire", request["id"])


@pytest.mark.parametrize("kind", ["settle", "void"])
def test_a_mended_ending_is_tried_again_and_books_what_it_had_to(
    database: Database, connection: Connection, acme: Organization, period: int, kind: str
) -> None:
    request = reserved(connection, acme, period)
    names_period(connection, request, 999)
    settle(database, [money.an_ending(request, kind)])
    with pytest.raises(Conflict):
        retry()
    assert money.counters(connection, period) == (0, 100)
    names_period(connection, request, period)
    assert retry() == {"settle": "settled", "void": "voided"}[kind]
    assert money.counters(connection, period) == ({"settle": 60, "void": 0}[kind], 0)
    [record] = AuditRecord.objects.filter(action="budgets.retry_quarantined")
    assert (record.actor, record.reason, record.organization_id) == ("ann@example.com", "mended", acme.id)
    assert not SettleQuarantine.objects.filter(resolved_at=None).exists()


def test_a_settle_tried_again_after_its_reservation_expired_corrects_the_estimate(
    database: Database, connection: Connection, acme: Organization, period: int
) -> None:
    request = reserved(connection, acme, period, lifetime_seconds=0)
    names_period(connection, request, 999)
    settle(database, [money.an_ending(request)])
    names_period(connection, request, period)
    assert expiring.sweep() == 1
    assert money.counters(connection, period) == (100, 0)
    assert retry() == "late"
    assert money.counters(connection, period) == (60, 0)


def test_an_expiry_is_tried_again(connection: Connection, acme: Organization, period: int) -> None:
    request = reserved(connection, acme, period, lifetime_seconds=0)
    names_period(connection, request, 999)
    assert expiring.sweep() == 0
    names_period(connection, request, period)
    assert expiring.sweep() == 0  # somebody has to look before
    assert retry() == "expired"
    assert money.counters(connection, period) == (100, 0)


def test_what_can_not_be_stored_as_it_was_is_only_dismissed(
    database: Database, connection: Connection, acme: Organization, period: int
) -> None:
    request = reserved(connection, acme, period)
    settle(database, [money.an_ending(request, model="gpt\0")])
    assert "gpt\\x00" in waiting().payload
    with pytest.raises(Conflict):
        retry()
    with pytest.raises(Invalid):
        retry(reason=" ")
    quarantining.resolve(waiting().id, acting="ann@example.com", reason="booked as estimated")


def test_what_is_resolved_is_not_tried_again(
    database: Database, connection: Connection, acme: Organization, period: int
) -> None:
    settle(database, [money.an_ending(reserved(connection, acme, period), cost=-1)])
    kept = waiting()
    quarantining.resolve(kept.id, acting="ann@example.com", reason="seen")
    with pytest.raises(Conflict):
        quarantining.retry(kept.id, acting="ann@example.com", reason="mended")


def test_ending_by_hand_what_postgres_refuses_to_end_is_a_conflict_and_works_once_it_is_mended(
    connection: Connection, acme: Organization, period: int
) -> None:
    request = reserved(connection, acme, period, lifetime_seconds=0)
    names_period(connection, request, 999)
    expiring.sweep()

    def end() -> Reservation:
        return ending.end_by_hand(UUID(request["id"]), organization=acme, acting="ann@example.com", reason="stuck")

    with pytest.raises(Conflict, match="a period of a reservation does not exist"):
        end()
    names_period(connection, request, period)
    assert end().state == "expired"
    assert money.counters(connection, period) == (100, 0)


def test_commands_list_try_again_and_dismiss(
    database: Database, connection: Connection, acme: Organization, period: int
) -> None:
    mended, hopeless = (reserved(connection, acme, period) for _ in range(2))
    names_period(connection, mended, 999)
    settle(database, [money.an_ending(mended), money.an_ending(hopeless, cost=-1)])
    names_period(connection, mended, period)
    listed = {row["reservation_id"]: row for row in run("quarantine_list")}
    assert listed.keys() == {mended["id"], hopeless["id"]}
    assert listed[hopeless["id"]]["organization"] == "acme"
    told = run("quarantine_retry", listed[mended["id"]]["id"], "--reason", "mended")
    assert (told["reservation_id"], told["outcome"]) == (mended["id"], "settled")
    assert run("quarantine_resolve", listed[hopeless["id"]]["id"], "--reason", "no way")["resolved"] is True
    assert run("quarantine_list") == []


def test_proof_and_smoke_name_what_waits_and_still_succeed(
    database: Database, connection: Connection, acme: Organization, period: int
) -> None:
    assert run("ledger_verify")["quarantined"] == 0
    request = reserved(connection, acme, period, **money.make_key(acme, money.make_unit(acme)))
    settle(database, [money.an_ending(request, cost=-1)])
    assert run("ledger_verify") == {"is_clean": True, "differences": [], "quarantined": 1}
    found = {finding.check: finding for finding in database_checks.run_all(gateway_processes=1)}["quarantine"]
    assert (found.status, "1 ending" in found.says) == ("warning", True)
