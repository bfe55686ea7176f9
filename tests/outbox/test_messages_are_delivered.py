"""What was committed reaches every consumer of its topic, once in effect; what one can't take harms nobody else."""

import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection

from apps.outbox import delivering
from apps.outbox.models import Delivery, OutboxMessage
from apps.outbox.types import Consumer, Message
from tests.databases import Database
from tests.outbox.hearing import TOPIC, deaf_to, heard, later, listener, note, prepare, put

Connection = psycopg.Connection[Any]


@pytest.fixture
def writer(database: Database) -> Connection:
    return prepare(database)


def test_every_consumer_of_the_topic_hears_it_once(writer: Connection) -> None:
    put(writer, "one", "two")
    put(writer, "three", topic="test.other")
    both = [listener("ann"), listener("bob", topics=("test.happened", "test.other"))]
    done = delivering.deliver(both)
    assert (done.taken, done.ended["ann", "delivered"], done.ended["bob", "delivered"]) == (3, 2, 3)
    assert heard(writer, "ann") == {"one": 1, "two": 1}
    assert heard(writer, "bob") == {"one": 1, "two": 1, "three": 1}
    assert OutboxMessage.objects.count() == 0
    assert delivering.deliver(both).taken == 0


def test_what_was_rolled_back_is_never_heard(writer: Connection) -> None:
    with writer.transaction(force_rollback=True):
        put(writer, "never")
    assert delivering.deliver([listener()]).taken == 0


def test_a_lower_id_that_commits_later_is_heard(database: Database, writer: Connection) -> None:
    slow = database.connect(autocommit=False)
    put(slow, "lower")
    put(writer, "higher")
    delivering.deliver([listener()])
    assert heard(writer) == {"higher": 1}
    slow.commit()
    delivering.deliver([listener()])
    assert heard(writer) == {"higher": 1, "lower": 1}


def test_a_batch_is_bounded_and_the_oldest_come_first(writer: Connection) -> None:
    put(writer, *"abcde")
    assert delivering.deliver([listener()], most=2).taken == 2
    assert heard(writer) == {"a": 1, "b": 1}


def test_a_poisoned_message_keeps_neither_the_batch_nor_the_other_consumers(writer: Connection) -> None:
    words = [str(number) for number in range(40)]
    put(writer, *words)
    done = delivering.deliver([listener("ann", before=deaf_to("17")), listener("bob")])
    assert (done.ended["ann", "delivered"], done.ended["ann", "failed"]) == (39, 1)
    assert heard(writer, "bob") == dict.fromkeys(words, 1)
    assert heard(writer, "ann") == dict.fromkeys(set(words) - {"17"}, 1)
    [failed] = Delivery.objects.all()
    assert (failed.consumer, failed.payload, failed.attempts) == ("ann", {"said": "17"}, 1)
    assert failed.last_error == "ValueError: I can't hear 17"
    assert OutboxMessage.objects.count() == 0


def test_many_poisoned_messages_among_others_keep_none_of_them(writer: Connection) -> None:
    words = [str(number) for number in range(90)]
    put(writer, *words)

    def deaf_to_thirds(message: Any) -> None:
        if int(message.payload["said"]) % 3 == 0:
            raise ValueError

    done = delivering.deliver([listener(before=deaf_to_thirds)])
    assert (done.ended["ann", "delivered"], done.ended["ann", "failed"]) == (60, 30)
    assert heard(writer) == {word: 1 for word in words if int(word) % 3}


def test_a_consumer_that_is_broken_is_not_tried_with_every_message(writer: Connection) -> None:
    tries = []

    def break_down(message: object) -> None:
        tries.append(message)
        raise RuntimeError("out of order")

    put(writer, *map(str, range(200)))
    done = delivering.deliver([listener("ann", before=break_down), listener("bob")])
    assert (done.ended["ann", "failed"], done.ended["bob", "delivered"]) == (200, 200)
    assert len(tries) < 40
    assert heard(writer, "ann") == {}
    assert Delivery.objects.count() == 200


def slow_over(most: int) -> Consumer:
    """One statement for all of the messages, whose time is over where they are too many."""

    def consume(messages: Sequence[Message]) -> None:
        for message in messages:
            note("ann", [message])
        if len(messages) > most:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = '20ms'")
                cursor.execute("SELECT pg_sleep(1)")

    return Consumer("ann", frozenset({TOPIC}), consume)


def test_a_part_whose_time_is_over_comes_in_smaller_ones(writer: Connection) -> None:
    words = [str(number) for number in range(100)]
    put(writer, *words)
    done = delivering.deliver([slow_over(30), listener("bob")])
    assert (done.ended["ann", "delivered"], done.ended["ann", "failed"]) == (100, 0)
    assert heard(writer) == dict.fromkeys(words, 1)


def test_a_consumer_whose_time_is_always_over_is_not_tried_with_every_message(writer: Connection) -> None:
    put(writer, *map(str, range(200)))
    begun = time.monotonic()
    done = delivering.deliver([slow_over(0), listener("bob")])
    assert (done.ended["ann", "failed"], done.ended["bob", "delivered"]) == (200, 200)
    assert time.monotonic() - begun < 5
    assert "statement timeout" in Delivery.objects.all()[0].last_error


def test_a_part_that_waits_for_a_lock_is_put_off_whole(database: Database, writer: Connection) -> None:
    """Its halves would wait, too, each as long."""
    tries = []

    def wait(message: object) -> None:
        tries.append(message)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '20ms'")
            cursor.execute("LOCK TABLE outbox_delivery IN ACCESS EXCLUSIVE MODE")

    put(writer, *map(str, range(8)))
    holder = database.connect(autocommit=False)
    holder.execute("LOCK TABLE outbox_delivery IN ACCESS SHARE MODE")
    assert delivering.deliver([listener(before=wait)]).ended["ann", "failed"] == 8
    assert len(tries) == 1


def test_what_the_database_refuses_is_undone_and_told(writer: Connection) -> None:
    put(writer, "fine", "poison")

    def poison(message: Any) -> None:
        if message.payload["said"] == "poison":
            connection.cursor().execute("SELECT 1/0")

    delivering.deliver([listener(before=poison)])
    assert heard(writer) == {"fine": 1}
    assert Delivery.objects.get().last_error.startswith("DataError: division by zero")


def test_an_error_that_text_cannot_hold_is_kept_as_far_as_it_can(writer: Connection) -> None:
    put(writer, "x")

    def fail(message: object) -> None:
        raise ValueError("a\0b\ud800" + "c" * 1000)

    delivering.deliver([listener(before=fail)])
    told = Delivery.objects.get().last_error
    assert told.startswith("ValueError: ab\\ud800ccc")
    assert len(told) < 600


def test_a_failed_delivery_is_tried_again_later_and_later_and_then_taken(writer: Connection) -> None:
    put(writer, "word")
    deaf, well = [listener(before=deaf_to("word"))], [listener()]
    delivering.deliver(deaf)
    assert delivering.redeliver(deaf).taken == 0
    pauses = []
    for _ in range(6):
        later(writer, hours=1)
        assert delivering.redeliver(deaf).ended["ann", "failed"] == 1
        row = Delivery.objects.get()
        now = writer.execute("SELECT spendra_now_v1()").fetchone()[0]
        pauses.append((row.next_attempt_at - now).total_seconds())
    for attempts, pause in enumerate(pauses, start=2):
        assert 2**attempts * 0.5 - 2 <= pause <= 2**attempts
    later(writer, hours=1)
    assert delivering.redeliver(well).ended["ann", "delivered"] == 1
    assert heard(writer) == {"word": 1}
    assert Delivery.objects.count() == 0


def test_two_that_failed_together_do_not_come_again_together(writer: Connection) -> None:
    put(writer, *map(str, range(8)))

    def fail(message: object) -> None:
        raise ValueError

    delivering.deliver([listener(before=fail)])
    assert Delivery.objects.values("next_attempt_at").distinct().count() == 8


def test_after_the_last_attempt_it_is_a_dead_letter_and_is_left_alone(writer: Connection) -> None:
    put(writer, "word")
    deaf = [listener(before=deaf_to("word"))]
    delivering.deliver(deaf)
    for attempt in range(2, delivering.MAX_ATTEMPTS + 1):
        later(writer, hours=2)
        [(outcome, _)] = [(key[1], n) for key, n in delivering.redeliver(deaf).ended.items() if n]
        assert outcome == ("dead" if attempt == delivering.MAX_ATTEMPTS else "failed")
    later(writer, days=2)
    assert delivering.redeliver([listener()]).taken == 0
    assert Delivery.objects.get().dead_at is not None


def test_a_delivery_is_its_consumers_own(writer: Connection) -> None:
    put(writer, "word")
    delivering.deliver([listener("ann", before=deaf_to("word")), listener("bob", before=deaf_to("word"))])
    later(writer, hours=1)
    delivering.redeliver([listener("ann"), listener("bob", before=deaf_to("word"))])
    assert (heard(writer, "ann"), heard(writer, "bob")) == ({"word": 1}, {})
    assert [row.consumer for row in Delivery.objects.all()] == ["bob"]


def test_a_topic_that_nobody_hears_waits_for_a_newer_worker_and_is_dropped_after_a_week(writer: Connection) -> None:
    put(writer, "early", topic="test.new")
    put(writer, "known")
    old, new = [listener("ann")], [listener("ann"), listener("bob", topics=("test.new",))]
    assert delivering.deliver(old).taken == 1
    assert delivering.drop_unheard(old) == 0
    delivering.deliver(new)
    assert heard(writer, "bob") == {"early": 1}
    put(writer, "never", topic="test.new")
    put(writer, "mine")
    later(writer, days=8)
    assert delivering.drop_unheard(old) == 1
    assert [message.payload for message in OutboxMessage.objects.all()] == [{"said": "mine"}]


def test_a_message_put_twice_under_one_id_fails_once(writer: Connection) -> None:
    [id] = put(writer, "word")
    deaf = [listener(before=deaf_to("word"))]
    delivering.deliver(deaf)
    OutboxMessage.objects.create(
        id=id, topic="test.happened", payload={"said": "word"}, created_at="2026-01-01T00:00:00Z"
    )
    delivering.deliver(deaf)
    assert [row.message_id for row in Delivery.objects.all()] == [UUID(str(id))]
