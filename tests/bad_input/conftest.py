from collections.abc import Iterator

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests import databases
from tests.bad_input.asking import PROMPT
from tests.databases import Database
from tests.gateway.company import Company, make_company
from tests.gateway.conftest import Sandbox, sandbox, shared_database
from tests.gateway.running import RunningGateway

__all__ = ["sandbox", "shared_database"]

MAX_BODY_BYTES = 2**20
LIMITS = {"SPENDRA_MAX_BODY_BYTES": str(MAX_BODY_BYTES), "SPENDRA_BODY_TIMEOUT_SECONDS": "1"}


@pytest.fixture(scope="session")
def patient_gateway(
    shared_database: Database, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """It gets all the bad input, and must not have logged a word of it."""
    log = tmp_path_factory.mktemp("bad-input") / "gateway.log"
    with RunningGateway(shared_database.url, sandbox.url, log, environment=LIMITS) as gateway:
        yield gateway
        assert gateway.terminate() == 0
        must_not_have_logged(gateway, PROMPT, "sk-sandbox", "Traceback")


@pytest.fixture
def gateway(
    patient_gateway: RunningGateway, shared_database: Database, django_db_blocker: DjangoDbBlocker
) -> Iterator[RunningGateway]:
    with django_db_blocker.unblock(), databases.as_default(shared_database):
        yield patient_gateway


@pytest.fixture
def company(gateway: RunningGateway) -> Iterator[Company]:
    company = make_company(gateway.url)
    yield company
    must_not_have_logged(gateway, company.key.rpartition("_")[2])


def must_not_have_logged(gateway: RunningGateway, *markers: str) -> None:
    logged = gateway.log.read_text(errors="replace")
    assert [marker for marker in markers if marker in logged] == []
