"""Several relays at once: none waits for another, none takes what another has, a killed one has taken nothing."""

import threading
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, transaction

from apps.outbox import delivering
from apps.outbox.models import Delivery, OutboxMessage
from apps.outbox.types import Consumer
from tests.concurrency.callers import in_parallel, meanwhile, until
from tests.databases import Database
from tests.outbox.hearing import TOPIC, heard, later, listener, prepare, put

Connection = psycopg.Connection[Any]


@pytest.fixture
def writer(database: Database) -> Connection:
    return prepare(database)


def _until_empty(name: str, worked: dict[str, int]) -> None:
    while done := delivering.deliver([listener("ann")], most=10).taken:
        worked[name] = worked.get(name, 0) + done
    connection.close()


def _waiting(watcher: Connection) -> int:
    waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return watcher.execute(waiting).rowcount


def test_every_message_is_taken_by_one_of_them(writer: Connection) -> None:
    words = [str(number) for number in range(600)]
    put(writer, *words)
    worked: dict[str, int] = {}
    in_parallel(*(partial(_until_empty, name, worked) for name in "abc"))
    assert heard(writer) == dict.fromkeys(words, 1)
    assert sum(worked.values()) == 600
    assert len(worked) == 3


def test_one_that_is_stuck_does_not_hold_up_another(writer: Connection) -> None:
    put(writer, "a", "b")
    started, go_on = threading.Event(), threading.Event()

    def dawdle(message: object) -> None:
        started.set()
        go_on.wait(20)

    def be_slow() -> None:
        delivering.deliver([listener(before=dawdle)], most=1)
        connection.close()

    with meanwhile(be_slow):
        assert started.wait(20)
        assert delivering.deliver([listener()]).taken == 1
        assert heard(writer) == {"b": 1}
        go_on.set()
    assert heard(writer) == {"a": 1, "b": 1}


def test_a_relay_whose_connection_breaks_has_taken_nothing(writer: Connection) -> None:
    put(writer, "a", "b")

    def cut(message: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(OperationalError):
        delivering.deliver([listener("before"), listener("cut", before=cut)])
    connection.close()
    assert (heard(writer, "before"), Delivery.objects.count(), OutboxMessage.objects.count()) == ({}, 0, 2)
    delivering.deliver([listener("before"), listener("cut")])
    assert (heard(writer, "before"), heard(writer, "cut")) == ({"a": 1, "b": 1}, {"a": 1, "b": 1})


def test_a_deadlock_is_nobodys_fault_and_the_batch_comes_again(database: Database, writer: Connection) -> None:
    writer.execute("CREATE TABLE pair (n int PRIMARY KEY); INSERT INTO pair VALUES (1), (2)")
    put(writer, "word")
    other = database.connect(autocommit=False)
    other.execute("SELECT FROM pair WHERE n = 2 FOR UPDATE")

    def lock_both(messages: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM pair WHERE n = 1 FOR UPDATE")
            cursor.execute("SELECT FROM pair WHERE n = 2 FOR UPDATE")

    def cross() -> None:
        """Who waited first looks for a deadlock first: the relay."""
        until(lambda: _waiting(writer) == 1)
        other.execute("SELECT FROM pair WHERE n = 1 FOR UPDATE")

    with meanwhile(cross), pytest.raises(OperationalError, match="deadlock"):
        delivering.deliver([Consumer("ann", frozenset({TOPIC}), lock_both)])
    other.rollback()
    assert (Delivery.objects.count(), OutboxMessage.objects.count()) == (0, 1)


def test_a_consumer_that_waits_too_long_for_a_lock_is_put_off_as_a_whole(
    database: Database, writer: Connection
) -> None:
    """Halves would wait as long again, each."""
    writer.execute("CREATE TABLE pair (n int PRIMARY KEY); INSERT INTO pair VALUES (1)")
    put(writer, *"abcd")
    holder = database.connect(autocommit=False)
    holder.execute("SELECT FROM pair FOR UPDATE")
    tries = []

    def want(messages: object) -> None:
        tries.append(messages)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '50ms'")
            cursor.execute("SELECT FROM pair FOR UPDATE")

    done = delivering.deliver([Consumer("ann", frozenset({TOPIC}), want), listener("bob")])
    assert (done.ended["ann", "failed"], done.ended["bob", "delivered"], len(tries)) == (4, 4, 1)


def test_failed_deliveries_are_shared_too(writer: Connection) -> None:
    put(writer, *map(str, range(40)))

    def fail(message: object) -> None:
        raise ValueError

    delivering.deliver([listener(before=fail)])
    later(writer, hours=1)
    with transaction.atomic():
        held = Delivery.objects.order_by("id").select_for_update()[:30]
        assert len(held) == 30

        def redeliver() -> int:
            try:
                return delivering.redeliver([listener()]).taken
            finally:
                connection.close()

        assert in_parallel(redeliver) == [10]
    assert delivering.redeliver([listener()]).taken == 30
    assert heard(writer) == dict.fromkeys(map(str, range(40)), 1)
