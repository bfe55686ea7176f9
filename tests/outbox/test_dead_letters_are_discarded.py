"""What nobody will ever take is given up by hand, with a reason; also what was left by a consumer that is gone."""

import io
import json
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core.management import CommandError, call_command

from apps.audit.models import AuditRecord
from apps.ledger import retention
from apps.outbox import delivering, discarding, queries
from apps.outbox.models import Delivery
from apps.outbox.types import Consumer
from spendra.kernel.errors import Invalid, NotFound
from spendra.kernel.ids import uuid7
from tests.databases import Database
from tests.outbox.hearing import ACME, deaf_to, heard, later, listener, prepare, put

Connection = psycopg.Connection[Any]
OTHER = UUID(int=2)


@pytest.fixture
def writer(database: Database) -> Connection:
    return prepare(database)


def deaf(name: str) -> Consumer:
    return listener(name, before=deaf_to("word"))


def dies(writer: Connection, *consumers: Consumer) -> None:
    delivering.deliver(consumers)
    Delivery.objects.update(attempts=delivering.MAX_ATTEMPTS - 1)
    later(writer, hours=2)
    delivering.redeliver(consumers)


def discard(*arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("outbox_discard", *arguments, "--json", stdout=out)
    told: dict[str, Any] = json.loads(out.getvalue())
    return told


def test_dead_letters_of_one_consumer_are_given_up_and_the_audit_says_why(writer: Connection) -> None:
    put(writer, "word", "fine")
    put(writer, "word", organization=OTHER)
    dies(writer, deaf("ann"), deaf("bob"))
    assert discard("--consumer", "ann", "--reason", "made by a test") == {"discarded": 2}
    assert {row.consumer for row in Delivery.objects.all()} == {"bob"}
    records = AuditRecord.objects.filter(action="outbox.discard").order_by("organization_id")
    assert [(row.organization_id, row.object_id, row.reason) for row in records] == [
        (organization, "ann", "made by a test") for organization in (ACME, OTHER)
    ]
    assert [row.after and row.after["messages"] for row in records] == [1, 1]


def test_single_messages(writer: Connection) -> None:
    one, other = put(writer, "word", "word")
    dies(writer, deaf("ann"))
    assert discard("--id", str(one), "--reason", "no use") == {"discarded": 1}
    assert [row.message_id for row in Delivery.objects.all()] == [other]


def test_what_is_still_tried_again_is_refused(writer: Connection) -> None:
    [id] = put(writer, "word")
    delivering.deliver([deaf("ann")])
    with pytest.raises(NotFound, match="is no dead letter of ann"):
        discarding.discard(acting="ann@example.com", reason="no use", consumer="ann", message_ids=[id])
    with pytest.raises(NotFound, match="is no dead letter"):
        discarding.discard(acting="ann@example.com", reason="no use", message_ids=[uuid7()])
    assert discard("--consumer", "ann", "--reason", "no use") == {"discarded": 0}
    assert Delivery.objects.count() == 1


def test_nothing_is_given_up_without_a_reason_or_all_at_once(writer: Connection) -> None:
    put(writer, "word")
    dies(writer, deaf("ann"))
    with pytest.raises(Invalid, match="needs a reason"):
        discarding.discard(acting="ann@example.com", reason=" ", consumer="ann")
    with pytest.raises(CommandError, match="Name a consumer or messages"):
        discard("--reason", "no use")
    assert Delivery.objects.count() == 1


def test_what_a_consumer_left_that_is_gone_is_seen_and_becomes_a_dead_letter(writer: Connection) -> None:
    put(writer, "word")
    delivering.deliver([deaf("ann"), deaf("gone")])
    later(writer, minutes=10)
    rest = [deaf("ann")]
    assert queries.backlogs(rest)[queries.UNKNOWN].undelivered_seconds >= 600
    # A newer worker may know it, while a deployment rolls.
    assert delivering.give_up_unknown(rest) == 0
    later(writer, days=2)
    assert delivering.give_up_unknown(rest) == 1
    assert [row.consumer for row in Delivery.objects.exclude(dead_at=None)] == ["gone"]
    backlog = queries.backlogs(rest)[queries.UNKNOWN]
    assert (backlog.undelivered_seconds, backlog.dead_letters) == (0, 1)
    assert Delivery.objects.get(consumer="gone").last_error.startswith("No worker knows this consumer. ValueError")
    assert discard("--consumer", "gone", "--reason", "it was taken out") == {"discarded": 1}


def test_a_consumer_that_comes_back_has_them_by_a_replay(writer: Connection) -> None:
    put(writer, "word")
    delivering.deliver([deaf("gone")])
    later(writer, days=2)
    assert delivering.give_up_unknown([]) == 1
    call_command("outbox_replay", "--consumer", "gone", stdout=io.StringIO())
    delivering.redeliver([listener("gone")])
    assert heard(writer, "gone") == {"word": 1}


def test_what_is_given_up_keeps_no_month(writer: Connection) -> None:
    put(writer, "word", topic=retention.TOPIC)
    gone = listener("gone", topics=(retention.TOPIC,), before=deaf_to("word"))
    delivering.deliver([gone])
    month = writer.execute("SELECT date_trunc('month', spendra_now_v1())::date").fetchone()
    assert month is not None
    later(writer, days=2)
    delivering.give_up_unknown([])
    assert retention.is_undelivered(month[0])
    discard("--consumer", "gone", "--reason", "it was taken out")
    assert not retention.is_undelivered(month[0])
