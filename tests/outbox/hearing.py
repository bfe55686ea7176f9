"""Facts put as writers put them, and consumers that note in a table of their own what they have heard."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import psycopg
from django.db import connection

from apps.outbox.types import Consumer, Message
from spendra.kernel.ids import uuid7_at
from tests.budgets import money
from tests.databases import Database

TOPIC = "test.happened"
ACME = UUID(int=1)


def prepare(database: Database) -> psycopg.Connection[Any]:
    writer = database.connect()
    writer.execute("CREATE TABLE heard (consumer text NOT NULL, message_id uuid NOT NULL, said text)")
    return writer


def put(writer: psycopg.Connection[Any], *said: str, topic: str = TOPIC, organization: UUID = ACME) -> list[UUID]:
    now = time.time_ns() // 1_000_000
    ids = [uuid7_at(now + number) for number in range(len(said))]
    for id, word in zip(ids, said, strict=True):
        writer.execute(
            "SELECT outbox_put_v1(ARRAY[(%s, %s, %s, %s)::outbox_message_v1], spendra_now_v1())",
            (id, organization, topic, orjson.dumps({"said": word}).decode()),
        )
    return ids


def note(name: str, messages: Sequence[Message]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO heard VALUES (%s, %s, %s)",
            [(name, message.id, message.payload["said"]) for message in messages],
        )


def listener(
    name: str = "ann", *, topics: Sequence[str] = (TOPIC,), before: Callable[[Message], object] = lambda message: None
) -> Consumer:
    """Notes each message, `before` each of which something may go wrong."""

    def consume(messages: Sequence[Message]) -> None:
        for message in messages:
            note(name, [message])
            before(message)

    return Consumer(name, frozenset(topics), consume)


def deaf_to(word: str) -> Callable[[Message], None]:
    def listen(message: Message) -> None:
        if message.payload["said"] == word:
            raise ValueError(f"I can't hear {word}")

    return listen


def heard(writer: psycopg.Connection[Any], name: str = "ann") -> Counter[str]:
    rows = writer.execute("SELECT said FROM heard WHERE consumer = %s", (name,)).fetchall()
    return Counter(said for (said,) in rows)


def later(writer: psycopg.Connection[Any], **span: float) -> None:
    money.set_clock(writer, money.now_of(writer) + timedelta(**span))
