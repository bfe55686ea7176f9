"""A failover to a replica that lags loses the last commits. Gateways send the last minute's endings again, also those
that have nothing else to send."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

from apps.budgets.models import Period
from spendra.development.embedded_postgres import EmbeddedPostgres
from tests import databases
from tests.budgets import money
from tests.crash.books import Caller, check
from tests.crash.stage import eventually
from tests.databases import Database
from tests.gateway.company import make_company
from tests.gateway.conftest import Sandbox
from tests.gateway.running import RunningGateway


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "postgres"


@pytest.fixture
def postgres(folder: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[EmbeddedPostgres]:
    with (
        EmbeddedPostgres(folder) as server,
        django_db_blocker.unblock(),
        databases.as_default(Database(server.start())),
    ):
        call_command("migrate", verbosity=0)
        yield server


@contextmanager
def _forgotten(postgres: EmbeddedPostgres, folder: Path, *, seconds_away: float) -> Iterator[None]:
    """What is committed inside is not there any more afterwards."""
    earlier = folder.with_name("earlier")
    _stop(postgres)
    _copy(folder, earlier)
    postgres.start()
    yield
    _stop(postgres)
    time.sleep(seconds_away)
    shutil.rmtree(folder)
    _copy(earlier, folder)
    postgres.start()


def _stop(postgres: EmbeddedPostgres) -> None:
    connections.close_all()
    postgres.stop()


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", source, target], check=True)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds_away", [0, pytest.param(65, marks=pytest.mark.system)])
def test_an_idle_gateway_books_again_what_was_lost(
    postgres: EmbeddedPostgres, folder: Path, sandbox: Sandbox, tmp_path: Path, seconds_away: float
) -> None:
    with RunningGateway(postgres.start(), sandbox.url, tmp_path / "log") as gateway:
        company = make_company(gateway.url)
        company.cap(10**12)
        caller = Caller(company)
        caller.send()
        company.wait_for_ends(1)
        with _forgotten(postgres, folder, seconds_away=seconds_away):
            eventually(lambda: caller.send().status_code == 200)
            lost = company.wait_for_ends(2)[1]
        assert lost not in company.reservations()
        eventually(lambda: lost in company.reservations())
        lines = check([caller], sandbox.url)
    assert [[entry.cause for entry in line.entries] for line in lines] == [["settled"], ["recovered"]]


@pytest.mark.timeout(300)
def test_nobody_spends_in_the_period_that_another_organization_has_opened_since(
    postgres: EmbeddedPostgres, folder: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The gateway still knows the period that is lost, by an id that must not come again."""
    with RunningGateway(postgres.start(), sandbox.url, tmp_path / "log") as gateway:
        acme, globex = make_company(gateway.url), make_company(gateway.url)
        for company in (acme, globex):
            money.make_budget(company.organization, 10**12, counts_from_now=True)  # opened on first use
        with _forgotten(postgres, folder, seconds_away=0):
            eventually(lambda: acme.chat().status_code == 200)
            acme.wait_for_ends(1)
        eventually(lambda: globex.chat().status_code == 200)
        eventually(lambda: acme.chat().status_code == 200)
        for company in (acme, globex):
            own = Period.objects.get(organization_id=company.organization.id)
            after = [one for one in company.wait_for_ends(1) if one.end_cause != "recovered"]
            assert [one.period_ids for one in after] == [[own.id]]
        eventually(lambda: len(acme.reservations()) == 2)
        [lost] = [one for one in acme.wait_for_ends(2) if one.end_cause == "recovered"]
        assert (lost.state, lost.period_ids) == ("settled", [])
