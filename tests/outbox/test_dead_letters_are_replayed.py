import io
import json
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core.management import CommandError, call_command

from apps.audit.models import AuditRecord
from apps.outbox import delivering, replaying
from apps.outbox.models import Delivery
from spendra.kernel.errors import NotFound
from spendra.kernel.ids import uuid7
from tests.databases import Database
from tests.outbox.hearing import ACME, deaf_to, heard, later, listener, prepare, put

Connection = psycopg.Connection[Any]
OTHER = UUID(int=2)


@pytest.fixture
def writer(database: Database) -> Connection:
    return prepare(database)


@pytest.fixture
def dead(writer: Connection) -> dict[str, UUID]:
    """Dead letters of two consumers and two organizations."""
    put(writer, "word", "fine")
    put(writer, "word", organization=OTHER)
    deaf = [listener("ann", before=deaf_to("word")), listener("bob", before=deaf_to("word"))]
    delivering.deliver(deaf)
    Delivery.objects.update(attempts=delivering.MAX_ATTEMPTS - 1)
    later(writer, hours=2)
    assert delivering.redeliver(deaf).ended["ann", "dead"] == 2
    return {str(row.organization_id): row.message_id for row in Delivery.objects.filter(consumer="ann")}


def _replay(*arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("outbox_replay", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def _deliver() -> None:
    delivering.redeliver([listener("ann"), listener("bob")])


def test_all_of_them_are_due_at_once(writer: Connection, dead: dict[str, UUID]) -> None:
    assert _replay("--reason", "mended") == {"replayed": 4}
    _deliver()
    assert (heard(writer, "ann")["word"], heard(writer, "bob")["word"]) == (2, 2)
    assert Delivery.objects.count() == 0


def test_those_of_one_consumer(writer: Connection, dead: dict[str, UUID]) -> None:
    assert _replay("--consumer", "bob") == {"replayed": 2}
    _deliver()
    assert (heard(writer, "ann")["word"], heard(writer, "bob")["word"]) == (0, 2)


def test_single_messages(writer: Connection, dead: dict[str, UUID]) -> None:
    assert _replay("--consumer", "ann", "--id", str(dead[str(ACME)])) == {"replayed": 1}
    _deliver()
    assert heard(writer, "ann")["word"] == 1
    assert Delivery.objects.exclude(dead_at=None).count() == 3


def test_one_that_is_no_dead_letter_is_refused_and_nothing_is_replayed(dead: dict[str, UUID]) -> None:
    with pytest.raises(NotFound, match="is no dead letter of ann"):
        replaying.replay(acting="ann@example.com", consumer="ann", message_ids=[dead[str(ACME)], uuid7()])
    with pytest.raises(CommandError):
        call_command("outbox_replay", "--id", str(uuid7()))
    assert Delivery.objects.filter(dead_at=None).count() == 0


def test_the_audit_says_who_replayed_how_many_for_each_organization(dead: dict[str, UUID]) -> None:
    replaying.replay(acting="ann@example.com", consumer="ann", reason="mended")
    records = AuditRecord.objects.filter(action="outbox.replay").order_by("organization_id")
    assert [(row.organization_id, row.actor, row.object_id, row.reason) for row in records] == [
        (organization, "ann@example.com", "ann", "mended") for organization in (ACME, OTHER)
    ]
    assert [row.after and row.after["messages"] for row in records] == [1, 1]


def test_a_replayed_one_has_all_its_attempts_again(writer: Connection, dead: dict[str, UUID]) -> None:
    replaying.replay(acting="ann@example.com", consumer="ann")
    assert delivering.redeliver([listener("ann", before=deaf_to("word"))]).ended["ann", "failed"] == 2
    assert set(Delivery.objects.filter(consumer="ann").values_list("attempts", "dead_at")) == {(1, None)}
