"""Minutes of processes that die at random under load: every charge is booked, once, and nothing else."""

import contextlib
import itertools
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

from apps.ledger.models import LedgerEntry
from spendra.development.embedded_postgres import EmbeddedPostgres
from tests import databases
from tests.crash.books import Caller, check
from tests.crash.chaos import Chaos
from tests.crash.stage import beside
from tests.databases import Database
from tests.gateway.company import make_company
from tests.gateway.conftest import Sandbox
from tests.gateway.running import ROOT, RunningGateway

SECONDS = 130
CALLERS = 10
FAULTS = ["", "", "delay=0.4", "status=500", "no-usage"]
STREAM_FAULTS = ["chunk-delay=0.02", "chunk-delay=0.1", "chunk-delay=0.02;cut-after=6"]


@pytest.fixture
def gateways(postgres: EmbeddedPostgres, sandbox: Sandbox, tmp_path: Path) -> Iterator[list[RunningGateway]]:
    with contextlib.ExitStack() as running:
        yield [
            running.enter_context(RunningGateway(postgres.start(), sandbox.url, tmp_path / f"gateway-{n}", processes=2))
            for n in range(2)
        ]


def _call(caller: Caller, urls: list[str], chance: random.Random) -> None:
    """One request; whoever hears nothing, or is refused, asks for something else a little later."""
    try:
        if chance.random() < 0.5:
            caller.send(chance.choice(urls), sandbox=chance.choice(FAULTS))
            return
        with caller.streaming(chance.choice(urls), sandbox=chance.choice(STREAM_FAULTS)) as answer:
            events = chance.choice([3, 10, 1000, 1000])  # some clients leave
            list(itertools.islice(answer.iter_lines(), events))
    except httpx.TransportError:
        time.sleep(0.2)


def _entries() -> list[Any]:
    return list(LedgerEntry.objects.order_by("id").values_list("id", "status", "amount_nanos"))


@pytest.mark.system
@pytest.mark.timeout(400)
def test_every_charge_is_booked_whoever_dies(
    postgres: EmbeddedPostgres,
    gateways: list[RunningGateway],
    sandbox: Sandbox,
    tmp_path: Path,
    django_db_blocker: DjangoDbBlocker,
) -> None:
    seed = int(os.environ.get("SPENDRA_SEED", time.time_ns() % 10**6))
    print(f"SPENDRA_SEED={seed}")
    stop = threading.Event()
    with django_db_blocker.unblock(), databases.as_default(Database(postgres.start())):
        company = make_company("")
        company.cap(10**13)
        company.cap(10**13, applies_to_each="agent", period_kind="month")
        callers = [Caller(company) for _ in range(CALLERS)]

        def keep_calling(number: int) -> None:
            chance = random.Random(seed * 100 + number)
            while not stop.wait(chance.uniform(0.02, 0.15)):
                _call(callers[number], [gateway.url for gateway in gateways], chance)

        calling = [beside(lambda number=number: keep_calling(number)) for number in range(CALLERS)]
        chaos = Chaos(seed, postgres, gateways, tmp_path)
        try:
            print(f"{chaos.reign(SECONDS)} acts of chaos")
            stop.set()
            assert [one.result(60) for one in calling] == [None] * CALLERS
            connections.close_all()
            lines = check(callers, sandbox.url, seconds=75)
        finally:
            stop.set()
            chaos.end()
        assert {line.is_estimated for line in lines} == {True, False}
        booked = _entries()
        postgres.restart("immediate")
        connections.close_all()
        assert _entries() == booked
        assert subprocess.run([sys.executable, "manage.py", "ledger_verify"], cwd=ROOT, check=False).returncode == 0
