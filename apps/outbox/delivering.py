"""From the queue to the consumers. A message that every consumer took is gone in the same commit as their effects."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson
from django.db import connection, transaction

from apps.outbox.attempting import Failure, attempt
from apps.outbox.models import Delivery
from apps.outbox.types import Consumer, Message

MAX_BATCH = 1000
MAX_ATTEMPTS = 12
KEPT_UNHEARD_DAYS = 7
KEPT_UNKNOWN_DAYS = 1
_LONGEST_PAUSE_SECONDS = 3600

# Never "id > last": a lower id may commit later. Several relays pass each other's rows.
_CLAIM = """
    DELETE FROM outbox_outboxmessage WHERE id = ANY (ARRAY(
        SELECT id FROM outbox_outboxmessage WHERE topic = ANY (%s) ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED))
    RETURNING id, organization_id, topic, payload, created_at
"""

_DROP_UNHEARD = """
    DELETE FROM outbox_outboxmessage WHERE id = ANY (ARRAY(
        SELECT id FROM outbox_outboxmessage
        WHERE topic <> ALL (%s) AND created_at < spendra_now_v1() - make_interval(days => %s)
        ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED))
"""

_GIVE_UP_UNKNOWN = """
    UPDATE outbox_delivery SET dead_at = spendra_now_v1(), last_error = 'No worker knows this consumer. ' || last_error
    WHERE id = ANY (ARRAY(
        SELECT id FROM outbox_delivery
        WHERE dead_at IS NULL AND consumer <> ALL (%s)
          AND next_attempt_at < spendra_now_v1() - make_interval(days => %s)
        ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED))
"""


@dataclass(slots=True)
class Delivered:
    """How many messages one pass took; how they ended (delivered, failed, dead), a consumer."""

    taken: int = 0
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)


def deliver(consumers: Sequence[Consumer], *, most: int = MAX_BATCH) -> Delivered:
    """Takes a batch off the queue and hands it to whoever hears it; what one can't take becomes its failed delivery.

    One transaction of its own: a process killed on any line has taken nothing. Messages that nobody hears stay.
    Raises OperationalError where Postgres is away or stuck; then, too, nothing is taken.
    """
    done = Delivered()
    with transaction.atomic(durable=True):
        now = _begin()
        messages = _claim(sorted({topic for consumer in consumers for topic in consumer.topics}), most)
        done.taken = len(messages)
        for consumer in consumers:
            heard = [message for message in messages if message.topic in consumer.topics]
            failures = attempt(consumer, heard)
            _keep(consumer, failures, now)
            done.ended[consumer.name, "delivered"] += len(heard) - len(failures)
            done.ended[consumer.name, "failed"] += len(failures)
    return done


def redeliver(consumers: Sequence[Consumer], *, most: int = MAX_BATCH) -> Delivered:
    """Tries failed deliveries that are due again; after the twelfth failure one is a dead letter.

    A transaction of its own for each consumer. Pauses grow from a second to an hour, about two hours in all.
    """
    done = Delivered()
    for consumer in consumers:
        with transaction.atomic(durable=True):
            _redeliver(consumer, most, done)
    return done


def drop_unheard(consumers: Sequence[Consumer], *, most: int = MAX_BATCH) -> int:
    """Drops old messages whose topic has no consumer. Until then they wait: while a deployment rolls, the worker that
    hears them may be the newer one."""
    topics = sorted({topic for consumer in consumers for topic in consumer.topics})
    with connection.cursor() as cursor:
        cursor.execute(_DROP_UNHEARD, [topics, KEPT_UNHEARD_DAYS, most])
        dropped: int = cursor.rowcount
        return dropped


def give_up_unknown(consumers: Sequence[Consumer], *, most: int = MAX_BATCH) -> int:
    """Failed deliveries of consumers that are in nobody's list become dead letters, which can be replayed once it is,
    or discarded. Not before they have waited for a day: while a deployment rolls, the newer worker may know it."""
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_UP_UNKNOWN, [[consumer.name for consumer in consumers], KEPT_UNKNOWN_DAYS, most])
        given_up: int = cursor.rowcount
        return given_up


def _begin() -> datetime:
    """The bounds of this transaction, for a consumer that is stuck; and its time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT spendra_now_v1(), set_config('lock_timeout', '5s', true),"
            " set_config('statement_timeout', '60s', true)"
        )
        now: datetime = cursor.fetchone()[0]
        return now


def _claim(topics: list[str], most: int) -> list[Message]:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [topics, most])
        return [
            Message(id, organization_id, topic, orjson.loads(payload), created_at)
            for id, organization_id, topic, payload, created_at in cursor.fetchall()
        ]


def _keep(consumer: Consumer, failures: Iterable[Failure], now: datetime) -> None:
    Delivery.objects.bulk_create(
        (
            Delivery(
                consumer=consumer.name,
                message_id=failure.message.id,
                organization_id=failure.message.organization_id,
                topic=failure.message.topic,
                payload=failure.message.payload,
                created_at=failure.message.created_at,
                attempts=1,
                next_attempt_at=now + _pause(1),
                last_error=failure.error,
            )
            for failure in failures
        ),
        ignore_conflicts=True,  # a message put twice under one id has failed already
    )


def _redeliver(consumer: Consumer, most: int, done: Delivered) -> None:
    now = _begin()
    due = Delivery.objects.filter(consumer=consumer.name, dead_at=None, next_attempt_at__lte=now)
    rows = {row.message_id: row for row in due.order_by("next_attempt_at").select_for_update(skip_locked=True)[:most]}
    failures = attempt(consumer, [_message(row) for row in rows.values()])
    failed = [_failed_again(rows.pop(failure.message.id), failure.error, now) for failure in failures]
    Delivery.objects.filter(id__in=[row.id for row in rows.values()]).delete()
    Delivery.objects.bulk_update(failed, ["attempts", "next_attempt_at", "last_error", "dead_at"])
    done.taken += len(rows) + len(failed)
    done.ended[consumer.name, "delivered"] += len(rows)
    for row in failed:
        done.ended[consumer.name, "dead" if row.dead_at else "failed"] += 1


def _message(row: Delivery) -> Message:
    return Message(row.message_id, row.organization_id, row.topic, row.payload, row.created_at)


def _failed_again(row: Delivery, error: str, now: datetime) -> Delivery:
    row.attempts += 1
    row.last_error = error
    row.next_attempt_at = now + _pause(row.attempts)
    row.dead_at = now if row.attempts >= MAX_ATTEMPTS else None
    return row


def _pause(attempts: int) -> timedelta:
    """Twice as long each time, and never the same for two that failed together."""
    return timedelta(seconds=min(2**attempts, _LONGEST_PAUSE_SECONDS) * random.uniform(0.5, 1.0))
