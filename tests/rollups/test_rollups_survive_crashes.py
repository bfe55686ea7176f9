"""Relays and Postgres die at random while entries are booked: the rollups are what they would have been without."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

from apps.ledger.models import LedgerEntry
from apps.ledger.rollups_rebuilding import rebuild
from apps.outbox.models import Delivery, OutboxMessage
from spendra.consumers import reported_periods
from spendra.development.embedded_postgres import EmbeddedPostgres
from tests import databases
from tests.budgets import money
from tests.concurrency.callers import meanwhile
from tests.databases import Database
from tests.roles.commands import Role, command_of, eventually, role
from tests.rollups.booking import Shop, counted, kept, open_shop

SECONDS = 12


@pytest.fixture
def postgres(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[EmbeddedPostgres]:
    with (
        EmbeddedPostgres(tmp_path / "postgres") as server,
        django_db_blocker.unblock(),
        databases.as_default(Database(server.start())),
    ):
        call_command("migrate", verbosity=0)
        yield server


def _book(postgres: EmbeddedPostgres, shops: Sequence[Shop], is_over: threading.Event) -> None:
    """Charges of any hour of the last days, a day more each second, so that days are opened until the end; and
    corrections of charges that had long been counted."""
    chance, begun = random.Random(7), time.monotonic()
    late: dict[str, list[dict[str, Any]]] = {shop.organization.slug: [] for shop in shops}
    while not is_over.wait(0.01):
        shop = chance.choice(shops)
        with contextlib.suppress(psycopg.OperationalError):
            if shop.connection.closed:
                shop.connection = psycopg.connect(postgres.start(), autocommit=True)
            money.beat(shop.connection)
            at = money.now_of(shop.connection) - timedelta(hours=24 * chance.uniform(0, time.monotonic() - begun))
            shop.spend_many(chance.randrange(1, 30), at=at, model=f"gpt-{chance.randrange(3)}")
            mine = late[shop.organization.slug]
            mine.append(shop.expire())
            if len(mine) > 20:
                ending = mine.pop(chance.randrange(len(mine)))
                money.end(shop.connection, money.an_ending(ending, chance.choice(["settle", "void"]), cost=30))


class _Workers:
    """Two of them, whatever happens."""

    def __init__(self, postgres: EmbeddedPostgres, folder: Path, running: contextlib.ExitStack) -> None:
        self._postgres, self._folder, self._running = postgres, folder, running
        self._workers: list[Role] = []
        self._started = 0

    def start(self) -> Role:
        self._started += 1
        folder = self._folder / f"worker-{self._started}"
        folder.mkdir()
        worker = self._running.enter_context(role(folder, self._postgres.start(), "worker", "--metrics-port", "0"))
        self._workers.append(worker)
        return worker

    def kill_relay(self, chance: random.Random) -> None:
        _kill_relay(chance.choice(self._workers))

    def kill_parent(self, chance: random.Random) -> None:
        """And what it leaves: the relay drains by itself."""
        killed = self._workers.pop(chance.randrange(len(self._workers)))
        os.kill(killed.pid, signal.SIGKILL)
        self.start()


def _kill_relay(worker: Role) -> None:
    for pid in worker.descendants():
        if "--part relay" in command_of(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _cut_connections(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.start(), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.timeout(240)
def test_what_was_counted_is_what_was_booked_whoever_dies(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    seed = int(os.environ.get("SPENDRA_SEED", time.time_ns() % 10**6))
    print(f"SPENDRA_SEED={seed}")
    chance, is_over = random.Random(seed), threading.Event()
    with contextlib.ExitStack() as running:
        shops = []
        for slug, zone in (("acme", "America/St_Johns"), ("other", "Pacific/Kiritimati")):
            shop = open_shop(Database(postgres.start()), slug, time_zone=zone)
            shop.budget()
            shop.budget(unit=shop.team, period_kind="month")
            shops.append(shop)
        workers = _Workers(postgres, tmp_path, running)
        for worker in (workers.start(), workers.start()):
            worker.wait_for_error_line("Relaying")
        acts = [
            lambda: workers.kill_relay(chance),
            lambda: workers.kill_parent(chance),
            lambda: _cut_connections(postgres),
            lambda: postgres.restart("immediate"),
        ]
        with meanwhile(lambda: _book(postgres, shops, is_over)):
            try:
                until, pending = time.monotonic() + SECONDS, list(acts)
                while pending or time.monotonic() < until:
                    time.sleep(chance.uniform(0.2, 1.5))
                    (pending.pop() if pending else chance.choice(acts))()
            finally:
                is_over.set()
        connections.close_all()
        eventually(lambda: not OutboxMessage.objects.exists() and not Delivery.objects.exists(), 60)
        assert LedgerEntry.objects.filter(kind="correction").count() > 5
        for shop in shops:
            sums = kept(shop.organization)
            assert sums == counted(shop.organization)
            assert len({key[1] for key in sums["HourRollup"]}) > 24
            assert len({key[1] for key in sums["DayRollup"]}) > 5
            assert rebuild(shop.organization, reported=reported_periods, acting="test") == {}
        print(f"{LedgerEntry.objects.count()} entries")
