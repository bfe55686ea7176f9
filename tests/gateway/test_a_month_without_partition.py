"""A month whose partition nobody made is our fault: the client is told to come again, not that it asked wrongly."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from apps.budgets import maintenance
from apps.budgets.models import SettleQuarantine
from tests.crash.stage import eventually
from tests.databases import Database
from tests.gateway.company import Company, make_company
from tests.gateway.conftest import Sandbox
from tests.gateway.governing import error_of
from tests.gateway.running import RunningGateway


@pytest.fixture
def spoiled(database: Database, sandbox: Sandbox, tmp_path: Path) -> Iterator[Company]:
    """On a database of its own."""
    with RunningGateway(database.url, sandbox.url, tmp_path / "log") as gateway:
        yield make_company(gateway.url)


def test_a_reserve_into_it_is_503_until_the_partition_is_made(spoiled: Company, database: Database) -> None:
    assert spoiled.chat().status_code == 200
    spoiled.wait_for_ends(1)
    database.connect().execute(f"DROP TABLE budgets_reservation_{datetime.now(UTC):%Y_%m}")
    refused = spoiled.chat()
    assert (refused.status_code, error_of(refused)["code"]) == (503, "busy")
    assert int(refused.headers["retry-after"]) > 0
    assert "x-should-retry" not in refused.headers
    assert maintenance.ensure_partitions() == 1
    assert spoiled.chat().status_code == 200


def test_a_settle_into_it_is_kept_and_booked_exactly_once_the_partition_is_made(
    spoiled: Company, database: Database
) -> None:
    for table in ("ledger_ledgerentry", "ledger_spendevent"):
        database.connect().execute(f"DROP TABLE {table}_{datetime.now(UTC):%Y_%m}")
    assert spoiled.chat().status_code == 200
    time.sleep(1)  # it is tried again meanwhile
    assert [one.state for one in spoiled.reservations()] == ["open"]
    assert maintenance.ensure_partitions() == 2
    assert [one.end_cause for one in spoiled.wait_for_ends(1)] == ["settled"]
    assert [entry.status for entry in spoiled.entries()] == ["final"]
    assert not SettleQuarantine.objects.exists()


def test_a_gateway_whose_settles_wait_for_it_is_not_ready(spoiled: Company, database: Database) -> None:
    database.connect().execute(f"DROP TABLE ledger_ledgerentry_{datetime.now(UTC):%Y_%m}")
    assert spoiled.chat().status_code == 200
    eventually(lambda: _reasons(spoiled) == ["backlog: spend waits to be booked"], 30)
    refused = spoiled.chat()
    assert (refused.status_code, error_of(refused)["code"]) == (503, "busy")
    assert maintenance.ensure_partitions() == 1
    eventually(lambda: _reasons(spoiled) == [])
    assert [one.end_cause for one in spoiled.wait_for_ends(1)] == ["settled"]


def _reasons(company: Company) -> list[str]:
    return list(httpx.get(f"{company.gateway_url}/health").json().get("reasons", []))
