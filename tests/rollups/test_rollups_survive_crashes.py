"""Relays and Postgres die at random while entries are booked: the rollups are what they would have been without."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

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


def _book(postgres: EmbeddedPostgres, shop: Shop, is_over: threading.Event) -> None:
    """Charges of any hour of the last days, and corrections of charges that had long been counted."""
    chance, late = random.Random(7), []
    while not is_over.wait(0.01):
        with contextlib.suppress(psycopg.OperationalError):
            if shop.connection.closed:
                shop.connection = psycopg.connect(postgres.start(), autocommit=True)
            money.beat(shop.connection)
            shop.spend_many(chance.randrange(1, 30), model=f"gpt-{chance.randrange(3)}")
            late.append(shop.expire())
            if len(late) > 20:
                ending = late.pop(chance.randrange(len(late)))
                money.end(shop.connection, money.an_ending(ending, chance.choice(["settle", "void"]), cost=30))


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
        shop = open_shop(Database(postgres.start()), time_zone="America/St_Johns")
        shop.budget()
        shop.budget(unit=shop.team, period_kind="month")
        workers = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            worker = running.enter_context(role(tmp_path / name, postgres.start(), "worker", "--metrics-port", "0"))
            worker.wait_for_error_line("Relaying")
            workers.append(worker)
        acts = [
            lambda: _kill_relay(chance.choice(workers)),
            lambda: _kill_relay(chance.choice(workers)),
            lambda: _cut_connections(postgres),
            lambda: postgres.restart("immediate"),
        ]
        with meanwhile(lambda: _book(postgres, shop, is_over)):
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
        assert kept(shop.organization) == counted(shop.organization)
        assert rebuild(shop.organization, reported=reported_periods, acting="test") == {}
        print(f"{LedgerEntry.objects.count()} entries")
