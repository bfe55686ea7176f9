"""A client that has left before its call was sent to the provider costs nothing: nothing is sent."""

import socket
import time

import httpx
import orjson
import pytest

from tests.crash.conftest import StartGateway
from tests.crash.lossy_line import LossyLine
from tests.crash.stage import Stage
from tests.gateway.company import Company, body
from tests.gateway.running import METRICS_TOKEN


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_while_its_money_is_reserved_is_not_paid_for(
    stage: Stage, company: Company, line: LossyLine, start_gateway: StartGateway, stream: bool
) -> None:
    company.gateway_url = start_gateway(database_url=line.url).url
    company.chat()
    company.wait_for_ends(1)
    sent = stage.sandbox.requests()
    with line.held_back("spendra reserve") as waits:
        with _asking(company, stream=stream):
            assert waits.wait(5)
        time.sleep(0.1)
    states = [one.state for one in company.wait_for_ends(2)]
    assert states == ["settled", "voided"]
    assert stage.sandbox.requests() == sent
    assert len(company.entries()) == 1
    head = {"authorization": f"Bearer {METRICS_TOKEN}"}
    counted = httpx.get(f"{company.gateway_url}/metrics", headers=head).text
    assert 'spendra_gateway_requests_total{outcome="client_gone"} 1.0' in counted


def _asking(company: Company, *, stream: bool) -> socket.socket:
    """A connection on which a request has been sent."""
    url = httpx.URL(company.gateway_url)
    content = orjson.dumps(body(stream=stream))
    head = [
        "POST /v1/chat/completions HTTP/1.1",
        "host: gateway",
        f"authorization: Bearer {company.key}",
        "content-type: application/json",
        f"content-length: {len(content)}",
    ]
    connection = socket.create_connection((url.host, url.port or 80))
    connection.sendall("\r\n".join([*head, "", ""]).encode() + content)
    return connection
