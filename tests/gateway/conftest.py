"""One sandbox provider and one gateway a session; each test brings an organization of its own."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from pytest_django.plugin import DjangoDbBlocker

from spendra.development.sandbox_provider.serving import sandbox_process
from tests import databases
from tests.databases import Database
from tests.gateway.company import Company, make_company
from tests.gateway.running import RunningGateway


@dataclass
class Sandbox:
    url: str

    def charge_of(self, completion_id: str) -> int:
        """What the provider charged for one answer, in nanos."""
        charges = httpx.get(f"{self.url}/charges").json()["by_request"].values()
        return sum(int(one["charged_nanos"]) for one in charges if one["completion_id"] == completion_id)

    def requests(self) -> int:
        return int(httpx.get(f"{self.url}/charges").json()["requests"])


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with sandbox_process() as url:
        yield Sandbox(url)


@pytest.fixture(scope="session")
def shared_database(database_copies: databases.Copies) -> Iterator[Database]:
    database = database_copies.take()
    yield database
    database_copies.give_back(database)


@pytest.fixture(scope="session")
def running_gateway(
    shared_database: Database, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    log = tmp_path_factory.mktemp("gateway") / "gateway.log"
    with RunningGateway(shared_database.url, sandbox.url, log) as gateway:
        yield gateway


@pytest.fixture
def gateway(
    running_gateway: RunningGateway, shared_database: Database, django_db_blocker: DjangoDbBlocker
) -> Iterator[RunningGateway]:
    with django_db_blocker.unblock(), databases.as_default(shared_database):
        yield running_gateway


@pytest.fixture
def company(gateway: RunningGateway) -> Company:
    return make_company(gateway.url)
