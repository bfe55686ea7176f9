from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django.plugin import DjangoDbBlocker

from spendra.development.embedded_postgres import EmbeddedPostgres
from tests import databases
from tests.crash.books import Caller
from tests.crash.lossy_line import LossyLine
from tests.crash.stage import Stage
from tests.databases import Database
from tests.gateway.company import Company, make_company
from tests.gateway.conftest import Sandbox, sandbox
from tests.gateway.running import RunningGateway
from tests.roles.commands import role

__all__ = ["sandbox"]

StartGateway = Callable[..., RunningGateway]


@pytest.fixture(scope="session")
def shared_stage(
    database_copies: databases.Copies, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """One database and one worker for all tests that kill only gateways."""
    database = database_copies.take()
    with role(tmp_path_factory.mktemp("worker"), database.url, "worker", "--metrics-port", "0") as worker:
        worker.wait_for_error_line("Sweeping")
        yield Stage(database, sandbox)
    database_copies.give_back(database)


@pytest.fixture
def stage(shared_stage: Stage, django_db_blocker: DjangoDbBlocker) -> Iterator[Stage]:
    with django_db_blocker.unblock(), databases.as_default(shared_stage.database):
        yield shared_stage


@pytest.fixture
def start_gateway(stage: Stage, tmp_path: Path) -> Iterator[StartGateway]:
    """Starts gateways on the stage's database; what is left of them is killed at the end."""
    started: list[RunningGateway] = []

    def start(*, database_url: str = "", **options: Any) -> RunningGateway:
        log = tmp_path / f"gateway-{len(started)}.log"
        gateway = RunningGateway(database_url or stage.database.url, stage.sandbox.url, log, **options)
        started.append(gateway)
        return gateway.__enter__()

    yield start
    for gateway in started:
        gateway.__exit__()


@pytest.fixture(scope="module")
def postgres(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Iterator[EmbeddedPostgres]:
    """A durable server of one file's own, to be restarted: what it has said it has committed survives its crash."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("postgres")) as server:
        with django_db_blocker.unblock(), databases.as_default(Database(server.start())):
            call_command("migrate", verbosity=0)
        yield server


@pytest.fixture
def company(stage: Stage) -> Company:
    """With a hard cap on the organization and on each agent: every request moves two periods."""
    company = make_company("")
    company.cap(10**12)
    company.cap(10**12, applies_to_each="agent", period_kind="month")
    return company


@pytest.fixture
def line(stage: Stage) -> Iterator[LossyLine]:
    with LossyLine(stage.database.url) as line:
        yield line


@pytest.fixture
def caller(company: Company, line: LossyLine, start_gateway: StartGateway) -> Caller:
    """Of a gateway behind the line, whose connections stand."""
    company.gateway_url = start_gateway(database_url=line.url).url
    caller = Caller(company)
    caller.send()
    company.wait_for_ends(1)
    return caller
