from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.databases import Database
from tests.gateway.conftest import Sandbox, company, gateway, running_gateway, sandbox, shared_database
from tests.gateway.running import RunningGateway
from tests.roles.serving import wait_until_open

__all__ = ["company", "gateway", "running_gateway", "sandbox", "shared_database"]


@pytest.fixture
def own_gateway(database: Database, sandbox: Sandbox, tmp_path: Path) -> Iterator[RunningGateway]:
    """On a database that the test may spoil."""
    with RunningGateway(database.url, sandbox.url, tmp_path / "gateway.log") as gateway:
        yield gateway


class NotReadyGateway(RunningGateway):
    """Whose port opens, and that is all that can be waited for."""

    def wait_until_ready(self, seconds: float = 30) -> None:
        wait_until_open(self.port, int(seconds))


@contextmanager
def started(database_url: str, folder: Path) -> Iterator[RunningGateway]:
    with NotReadyGateway(database_url, "http://127.0.0.1:9", folder / "gateway.log") as gateway:
        yield gateway
