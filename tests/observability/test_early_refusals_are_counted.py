"""What the server refuses before the gateway hears of it is counted with all other requests, by its code."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.databases import Database
from tests.gateway.conftest import Sandbox
from tests.gateway.running import RunningGateway
from tests.observability.scraping import growth, scrape
from tests.roles.commands import eventually
from tests.roles.serving import connected, exchange, read_to_end, status_of

LIMITS = {
    "SPENDRA_MAX_BODY_BYTES": "100000",
    "SPENDRA_MAX_BODIES_BYTES": "150000",
    "SPENDRA_BODY_TIMEOUT_SECONDS": "1",
}
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n"
EARLY = {
    "no HTTP": (b"nonsense\r\n\r\n", 400, "request_malformed"),
    "two lengths": (HEAD + b"content-length: 1\r\ncontent-length: 2\r\n\r\n", 400, "request_malformed"),
    "no chunks": (HEAD + b"transfer-encoding: chunked\r\n\r\nhello\r\n", 400, "request_malformed"),
    "no body": (HEAD + b"content-length: 10\r\n\r\n{", 408, "request_timed_out"),
    "a large body": (HEAD + b"content-length: 100001\r\n\r\n", 413, "request_too_large"),
    "a large head": (HEAD + b"x: " + b"y" * 40_000 + b"\r\n\r\n", 431, "headers_too_large"),
}


@pytest.fixture(scope="module")
def strict_gateway(
    shared_database: Database, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    log: Path = tmp_path_factory.mktemp("early") / "gateway.log"
    with RunningGateway(shared_database.url, sandbox.url, log, environment=LIMITS) as gateway:
        yield gateway


@pytest.mark.parametrize(("data", "status", "code"), EARLY.values(), ids=EARLY.keys())
def test_it_is_counted_once_by_its_code(strict_gateway: RunningGateway, data: bytes, status: int, code: str) -> None:
    before = scrape(strict_gateway)
    assert status_of(exchange(strict_gateway.port, data)) == status
    assert growth(before, scrape(strict_gateway)) == {f'spendra_gateway_requests_total{{outcome="{code}"}}': 1}


def test_bodies_that_are_too_large_together_are_counted_as_busy(strict_gateway: RunningGateway) -> None:
    before = scrape(strict_gateway)
    half_sent = HEAD + b"content-length: 90000\r\n\r\n" + b" " * 80_000
    with ExitStack() as opened:
        held: list[socket.socket] = [opened.enter_context(connected(strict_gateway.port)) for _ in range(2)]
        for connection in held:
            connection.sendall(half_sent)
        answers = sorted(status_of(read_to_end(connection)) for connection in held)
    assert answers == [408, 503]
    name = 'spendra_gateway_requests_total{outcome="busy"}'
    assert eventually(lambda: growth(before, scrape(strict_gateway)).get(name)) == 1
