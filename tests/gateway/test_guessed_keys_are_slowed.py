"""Who guesses keys is slowed down, and nobody else is: clients behind one ingress are told apart by the address it
names, and a real key works at once also where somebody guesses."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import httpx
import pytest

from apps.gateway.rules_store import SLOW_LOOKUP_SECONDS, UNKNOWN_KEYS_A_SECOND
from apps.keys.format import mint
from tests.databases import Database
from tests.gateway.company import Company
from tests.gateway.conftest import Sandbox
from tests.gateway.running import RunningGateway
from tests.roles.serving import connected, request, status_of

GUESSER, OTHER = "203.0.113.5", "203.0.113.6"


@pytest.fixture(scope="module")
def behind_an_ingress(
    shared_database: Database, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    log = tmp_path_factory.mktemp("ingress") / "gateway.log"
    trusted = {"SPENDRA_TRUSTED_PROXIES": "127.0.0.1"}
    with RunningGateway(shared_database.url, sandbox.url, log, environment=trusted) as gateway:
        yield gateway


@dataclass
class Ingress:
    """Forwards what clients ask, with their addresses, over its own connections."""

    port: int
    client: httpx.Client

    def ask(self, address: str, key: str) -> int:
        head = {"authorization": f"Bearer {key}", "x-forwarded-for": address}
        return self.client.get("/v1/models", headers=head).status_code

    def guess_many(self, address: str) -> None:
        """More at once than somebody who mistyped a key, so that all are counted in one second."""
        with ExitStack() as opened:
            lines = [opened.enter_context(connected(self.port)) for _ in range(UNKNOWN_KEYS_A_SECOND + 20)]
            for line in lines:
                head = (f"authorization: Bearer {unknown_key()}", f"x-forwarded-for: {address}")
                line.sendall(request("/v1/models", headers=head))
            assert {status_of(line.recv(65536)) for line in lines} == {401}


@pytest.fixture
def ingress(gateway: RunningGateway, behind_an_ingress: RunningGateway) -> Iterator[Ingress]:
    with httpx.Client(base_url=behind_an_ingress.url, timeout=30) as client:
        yield Ingress(behind_an_ingress.port, client)


def unknown_key() -> str:
    return mint(live=False).key


def seconds(act: Callable[[], int], status: int) -> float:
    begun = time.monotonic()
    assert act() == status
    return time.monotonic() - begun


def are_slow(ingress: Ingress, asked: list[tuple[str, str, int]]) -> list[bool]:
    """Each by the quickest of a few: other work on the machine makes some of them slower."""
    rounds = [[seconds(partial(ingress.ask, address, key), status) for address, key, status in asked] for _ in range(4)]
    return [min(times) >= SLOW_LOOKUP_SECONDS for times in zip(*rounds, strict=True)]


def test_the_address_that_guesses_waits_and_no_other_and_no_known_key(ingress: Ingress, company: Company) -> None:
    guess, mistyped = (GUESSER, unknown_key(), 401), (OTHER, unknown_key(), 401)
    known = [(address, company.key, 200) for address in (GUESSER, OTHER)]
    for _ in range(20):
        ingress.guess_many(GUESSER)
        slow = are_slow(ingress, [guess, mistyped, *known, guess])
        if slow[0] and slow[-1]:  # the second in which it guessed lasted until the end
            assert slow == [True, False, False, False, True]
            return
    pytest.fail(f"guesses were never slow: {slow}")


def test_a_key_that_was_just_issued_works_at_once_where_somebody_guesses(ingress: Ingress, company: Company) -> None:
    for _ in range(3):
        issued = company.another_key().key
        ingress.guess_many(GUESSER)
        assert [ingress.ask(address, issued) for address in (GUESSER, OTHER)] == [200, 200]
