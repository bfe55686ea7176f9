"""Postgres goes away under running gateways: what was answered is booked, nothing is lost, nothing booked twice."""

import threading
from collections.abc import Iterator
from typing import Literal

import httpx
import pytest
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

from spendra.development.embedded_postgres import EmbeddedPostgres
from tests import databases
from tests.crash.books import Caller, check
from tests.crash.stage import beside, eventually
from tests.databases import Database
from tests.gateway.company import Company, make_company
from tests.gateway.conftest import Sandbox
from tests.gateway.running import RunningGateway


@pytest.fixture(scope="module")
def running(
    postgres: EmbeddedPostgres, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    log = tmp_path_factory.mktemp("gateway") / "log"
    with RunningGateway(postgres.start(), sandbox.url, log) as gateway:
        yield gateway


@pytest.fixture
def company(
    postgres: EmbeddedPostgres, running: RunningGateway, django_db_blocker: DjangoDbBlocker
) -> Iterator[Company]:
    with django_db_blocker.unblock(), databases.as_default(Database(postgres.start())):
        company = make_company(running.url)
        company.cap(10**12)
        company.cap(10**12, applies_to_each="agent", period_kind="month")
        yield company


def _check(callers: list[Caller], sandbox: Sandbox) -> None:
    connections.close_all()
    lines = check(callers, sandbox.url)
    assert [line for line in lines if line.is_estimated] == []


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_under_load(
    postgres: EmbeddedPostgres, company: Company, sandbox: Sandbox, mode: Literal["fast", "immediate"]
) -> None:
    callers = [Caller(company) for _ in range(12)]
    stop = threading.Event()
    statuses: list[int] = []

    def call(caller: Caller, fault: str, stream: bool) -> None:
        while not stop.wait(0.02):
            statuses.append(caller.send(sandbox=fault, stream=stream).status_code)

    faults = [("", False), ("delay=0.3", False), ("chunk-delay=0.02", True)]
    calling = [beside(lambda caller=caller, n=n: call(caller, *faults[n % 3])) for n, caller in enumerate(callers)]
    eventually(lambda: statuses.count(200) > 20)
    postgres.restart(mode)
    at_restart = len(statuses)
    eventually(lambda: statuses[at_restart:].count(200) > 20)
    stop.set()
    assert [one.result() for one in calling] == [None] * len(callers)
    assert set(statuses) <= {200, 503}
    _check(callers, sandbox)


def test_an_outage_while_the_provider_works(postgres: EmbeddedPostgres, company: Company, sandbox: Sandbox) -> None:
    plain, streamed = Caller(company), Caller(company)
    answers = [
        beside(lambda: plain.send(sandbox="delay=1")),
        beside(lambda: streamed.send(sandbox="chunk-delay=0.05", stream=True)),
    ]
    eventually(lambda: len(company.reservations()) == 2)
    postgres.stop()
    assert [one.result().status_code for one in answers] == [200, 200]
    assert plain.send().status_code == 503
    assert httpx.get(f"{company.gateway_url}/health/live").status_code == 200
    postgres.start()
    _check([plain, streamed], sandbox)


def test_a_restart_between_two_requests_costs_at_most_one_503(
    postgres: EmbeddedPostgres, company: Company, sandbox: Sandbox
) -> None:
    caller = Caller(company)
    assert caller.send().status_code == 200
    company.wait_for_ends(1)
    postgres.restart()
    first = caller.send().status_code
    assert first in (200, 503)
    assert caller.send().status_code == 200
    models = httpx.get(f"{company.gateway_url}/v1/models", headers={"authorization": f"Bearer {caller.key}"})
    assert models.status_code == 200
    _check([caller], sandbox)
