from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Count, Min

from apps.outbox.models import Delivery
from apps.outbox.types import Consumer

# What was left by consumers that are in no list any more, all of them together.
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Backlog:
    """Of one consumer. `queued_seconds` is the age of the oldest message that the relay has not looked at,
    `undelivered_seconds` that of the oldest one the consumer has not taken, failed ones included and dead ones not."""

    queued_seconds: float
    undelivered_seconds: float
    dead_letters: int


# In the order of ids, which is that of time but for the clocks of gateways: the index answers, however long the queue.
_OLDEST = """
    SELECT spendra_now_v1(),
           (SELECT created_at FROM outbox_outboxmessage WHERE topic = ANY (%s) ORDER BY id LIMIT 1)
"""


def backlogs(consumers: Sequence[Consumer]) -> dict[str, Backlog]:
    """By the consumer's name, and under UNKNOWN what nobody will take."""
    failed = dict(
        Delivery.objects.filter(dead_at=None).values_list("consumer").annotate(oldest=Min("created_at")).order_by()
    )
    dead = dict(Delivery.objects.exclude(dead_at=None).values_list("consumer").annotate(count=Count("id")).order_by())
    found = {
        consumer.name: _backlog(consumer, failed.pop(consumer.name, None), dead.pop(consumer.name, 0))
        for consumer in consumers
    }
    now, _ = _now_and_oldest([])
    found[UNKNOWN] = Backlog(0.0, _age(now, min(failed.values(), default=None)), sum(dead.values()))
    return found


def _backlog(consumer: Consumer, oldest_failed: datetime | None, dead: int) -> Backlog:
    now, oldest_queued = _now_and_oldest(sorted(consumer.topics))
    queued, failed = (_age(now, at) for at in (oldest_queued, oldest_failed))
    return Backlog(queued_seconds=queued, undelivered_seconds=max(queued, failed), dead_letters=dead)


def _now_and_oldest(topics: list[str]) -> tuple[datetime, datetime | None]:
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST, [topics])
        now, oldest = cursor.fetchone()
    return now, oldest


def _age(now: datetime, at: datetime | None) -> float:
    return max((now - at).total_seconds(), 0.0) if at else 0.0
