"""Two gateways of two processes each, started at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests import databases
from tests.databases import Database
from tests.gateway.company import Company, make_company
from tests.gateway.conftest import Sandbox, sandbox, shared_database
from tests.gateway.running import RunningGateway

__all__ = ["sandbox", "shared_database"]


@pytest.fixture(scope="session")
def running_gateways(
    shared_database: Database, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[RunningGateway]]:
    folder = tmp_path_factory.mktemp("gateways")
    gateways = [
        RunningGateway(shared_database.url, sandbox.url, folder / f"{number}.log", processes=2) for number in range(2)
    ]
    with ThreadPoolExecutor() as pool:
        starting = [pool.submit(gateway.__enter__) for gateway in gateways]
    try:
        yield [gateway.result() for gateway in starting]
    finally:
        for gateway in gateways:
            gateway.__exit__()


@pytest.fixture
def urls(
    running_gateways: list[RunningGateway], shared_database: Database, django_db_blocker: DjangoDbBlocker
) -> Iterator[list[str]]:
    with django_db_blocker.unblock(), databases.as_default(shared_database):
        yield [gateway.url for gateway in running_gateways]


@pytest.fixture
def company(urls: list[str]) -> Company:
    return make_company(urls[0])
