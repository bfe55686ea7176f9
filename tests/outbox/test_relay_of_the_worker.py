"""The relay as a process: what it tells, what it survives, and that it keeps nothing else from its work."""

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from apps.outbox.models import Delivery, OutboxMessage
from spendra.consumers import CONSUMERS
from spendra.kernel.ids import uuid7
from tests.budgets.money import now_of
from tests.databases import Database
from tests.outbox.hearing import later
from tests.roles.commands import Role, command_of, eventually, health, port_in, role, scrape
from tests.rollups.booking import Shop, counted, kept, open_shop


@pytest.fixture
def shop(database: Database) -> Shop:
    return open_shop(database)


@pytest.fixture
def worker(database: Database, shop: Shop, tmp_path: Path) -> Iterator[Role]:
    with _worker(database, tmp_path) as worker:
        yield worker


@contextlib.contextmanager
def _worker(database: Database, folder: Path) -> Iterator[Any]:
    folder.mkdir(exist_ok=True)
    with role(folder, database.url, "worker", "--metrics-port", "0") as worker:
        worker.port = port_in(worker.wait_for_error_line("worker on "))
        worker.wait_for_error_line("Relaying to ")
        yield worker


@contextlib.contextmanager
def _held_up(database: Database) -> Iterator[None]:
    """A relay is in the middle of a delivery: it has claimed its messages and counted some of them."""
    with psycopg.connect(database.url) as holder:
        holder.execute("LOCK TABLE ledger_dayrollup")
        eventually(lambda: _waiting(database))
        yield


def _waiting(database: Database) -> bool:
    with psycopg.connect(database.url) as watcher:
        statement = (
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
            "AND position('INSERT INTO ledger_dayrollup' IN query) > 0"
        )
        return watcher.execute(statement).rowcount > 0


def _relay(worker: Role) -> int:
    [pid] = [pid for pid in worker.descendants() if "--part relay" in command_of(pid)]
    return pid


def _series(worker: Any, name: str) -> float:
    [line] = [line for line in scrape(worker.port).splitlines() if line.startswith(name)]
    return float(line.split()[-1])


def _is_counted(shop: Shop) -> bool:
    return not OutboxMessage.objects.exists() and kept(shop.organization) == counted(shop.organization)


def test_it_counts_what_is_booked_within_seconds_and_says_so(worker: Any, shop: Shop) -> None:
    shop.spend_many(5)
    eventually(lambda: _is_counted(shop))
    counter = 'spendra_outbox_messages_total{consumer="ledger.rollups",outcome="delivered"}'
    eventually(lambda: _series(worker, counter) == 5)
    assert _series(worker, 'spendra_outbox_lag_seconds{consumer="ledger.rollups"}') < 5
    assert _series(worker, 'spendra_outbox_dead_letters{consumer="ledger.rollups"}') == 0
    assert health(worker.port) == (200, {"status": "ok", "reasons": []})


def test_what_lies_too_long_turns_the_worker_red(database: Database, shop: Shop, tmp_path: Path) -> None:
    shop.spend(1)
    later(shop.connection, minutes=6)
    with psycopg.connect(database.url) as holder:
        holder.execute("SELECT FROM outbox_outboxmessage FOR UPDATE")
        with _worker(database, tmp_path) as worker:
            status, report = eventually(lambda: (found := health(worker.port))[0] == 503 and found)
            assert (status, len(report["reasons"])) == (503, len(CONSUMERS))
            for consumer, reason in zip(CONSUMERS, report["reasons"], strict=True):
                assert re.fullmatch(rf"outbox: {consumer.name} is 3\d\d seconds behind", reason)
            assert _series(worker, 'spendra_outbox_lag_seconds{consumer="ledger.rollups"}') >= 360
            holder.rollback()
            eventually(lambda: health(worker.port)[0] == 200)


def test_one_message_that_fails_does_not(database: Database, shop: Shop, tmp_path: Path) -> None:
    """It shows as lag, and as a failed delivery; the relay itself is not behind."""
    shop.spend(1)
    OutboxMessage.objects.update(payload={"poisoned": True})
    later(shop.connection, minutes=6)
    with _worker(database, tmp_path) as worker:
        eventually(lambda: Delivery.objects.filter(attempts__gte=1).exists())
        eventually(lambda: _series(worker, 'spendra_outbox_lag_seconds{consumer="ledger.rollups"}') >= 360)
        eventually(lambda: health(worker.port)[0] == 200)


def test_what_was_left_by_a_consumer_that_is_gone_is_told(database: Database, shop: Shop, tmp_path: Path) -> None:
    at = now_of(shop.connection) - timedelta(days=2)
    Delivery.objects.create(
        consumer="gone", message_id=uuid7(), topic="test.happened", payload={}, created_at=at, attempts=3,
        next_attempt_at=at, last_error="ValueError",
    )  # fmt: skip
    with _worker(database, tmp_path) as worker:
        eventually(lambda: 'spendra_outbox_dead_letters{consumer="unknown"} 1.0' in scrape(worker.port))
        assert "Gave up 1 messages of consumers that nobody knows" in worker.errors


def test_a_slow_consumer_does_not_delay_the_sweeper(worker: Any, database: Database, shop: Shop) -> None:
    sweeps = 'spendra_sweeper_sweeps_total{outcome="done"}'
    shop.spend(1)
    with _held_up(database):
        before = _series(worker, sweeps)
        eventually(lambda: _waiting(database) and _series(worker, sweeps) >= before + 2)
    eventually(lambda: _is_counted(shop))


def test_a_relay_killed_in_the_middle_of_a_delivery_has_counted_nothing(
    worker: Any, database: Database, shop: Shop
) -> None:
    shop.spend_many(7)
    with _held_up(database):
        killed = _relay(worker)
        os.kill(killed, signal.SIGKILL)
    eventually(lambda: _is_counted(shop))
    assert _relay(worker) != killed


def test_sigterm_ends_a_delivery_well(worker: Any, database: Database, shop: Shop) -> None:
    shop.spend_many(7)
    with _held_up(database):
        worker.terminate()
    assert worker.exit_code(30) == 0
    assert _is_counted(shop)


def test_what_waits_for_a_lock_too_long_comes_again(worker: Any, database: Database, shop: Shop) -> None:
    shop.spend_many(3)
    with _held_up(database):
        eventually(lambda: Delivery.objects.count() == 3)
    later(shop.connection, seconds=5)
    eventually(lambda: not Delivery.objects.exists() and _is_counted(shop))


def test_two_workers_count_the_same_rows(worker: Any, database: Database, shop: Shop, tmp_path: Path) -> None:
    with _worker(database, tmp_path / "other") as other:
        for _ in range(40):
            shop.spend_many(20)
        eventually(lambda: _is_counted(shop))
        assert "deadlock" not in worker.errors + other.errors
