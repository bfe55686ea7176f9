"""What an operator sets for a gateway is what its requests meet."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.crash.full_provider import full_provider
from tests.databases import Database
from tests.gateway.company import Company
from tests.gateway.running import RunningGateway

CONNECT_SECONDS, LONGEST_SECONDS = 1, 10


@pytest.fixture(scope="module")
def set_gateway(shared_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """Whose provider takes no connection."""
    log = tmp_path_factory.mktemp("set") / "gateway.log"
    environment = {
        "SPENDRA_UPSTREAM_CONNECT_TIMEOUT_SECONDS": str(CONNECT_SECONDS),
        "SPENDRA_RESERVATION_MAX_SECONDS": str(LONGEST_SECONDS),
    }
    with (
        full_provider() as url,
        RunningGateway(shared_database.url, url, log, environment=environment) as gateway,
    ):
        yield gateway


def test_a_provider_that_takes_no_connection_is_given_up_after_the_time_set(
    set_gateway: RunningGateway, company: Company
) -> None:
    begun = time.monotonic()
    assert company.chat(url=set_gateway.url).status_code == 502
    assert CONNECT_SECONDS <= time.monotonic() - begun < 5, "ten seconds by default"


def test_a_reservation_ends_at_the_latest_after_the_time_set(set_gateway: RunningGateway, company: Company) -> None:
    company.chat(url=set_gateway.url)
    (reservation,) = company.reservations()
    assert reservation.expires_at - reservation.reserved_at == timedelta(seconds=LONGEST_SECONDS)
