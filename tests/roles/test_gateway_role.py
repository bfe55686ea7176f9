import json
import os
import signal

import pytest

from tests.roles.commands import eventually, get, health, port_in, role, scrape
from tests.roles.serving import body_of, exchange, request, status_of

CHAT = "/v1/chat/completions"


@pytest.fixture
def gateway(tmp_path, database):
    with role(tmp_path, database.url, "gateway", "--port", "0") as process:
        process.port = port_in(process.wait_for_error_line("gateway on "))
        eventually(lambda: health(process.port)[0] == 200)
        yield process


def test_what_the_server_refuses_reads_like_what_the_gateway_refuses(gateway):
    too_large = exchange(gateway.port, f"POST {CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999\r\n\r\n".encode())
    no_key = exchange(gateway.port, request(CHAT, method="POST", body=b"{}"))
    malformed = exchange(gateway.port, b"NONSENSE\r\n\r\n")
    assert [status_of(answer) for answer in (too_large, no_key, malformed)] == [413, 401, 400]
    codes = ["request_too_large", "key_rejected", "request_malformed"]
    for answer, code in zip((too_large, no_key, malformed), codes, strict=True):
        error = json.loads(body_of(answer))["error"]
        assert error["code"] == code
        assert {"message", "type", "param"} <= error.keys()
        assert b"x-request-id: " in answer
        assert answer.count(b"content-length") == 1


def test_a_gateway_drains_on_sigterm(gateway):
    gateway.terminate()
    assert gateway.exit_code() == 0
    assert "Traceback" not in gateway.errors


def test_a_gateway_without_its_database_lives_and_is_not_ready(tmp_path):
    with role(tmp_path, "postgresql://nobody@127.0.0.1:9/none", "gateway", "--port", "0") as process:
        port = port_in(process.wait_for_error_line("gateway on "))
        status, report = eventually(lambda: health(port))
        assert status == 503
        assert report["reasons"][0].startswith("database")
        assert get(port, "/health/live")[0] == 200


def test_two_gateway_processes_are_one_to_a_scraper_and_end_with_their_parent(tmp_path, database):
    with role(tmp_path, database.url, "gateway", "--port", "0", "--processes", "2") as process:
        port = port_in(process.wait_for_error_line("gateway on "))
        eventually(lambda: process.errors.count("Listening on") == 2)
        for _ in range(20):
            assert get(port, "/v1/nonsense")[0] == 404
        assert 'spendra_gateway_requests_total{outcome="route_not_found"} 20.0' in scrape(port)
        assert 'spendra_gateway_ready{process="1"}' in scrape(port)
        os.kill(process.pid, signal.SIGKILL)
        eventually(lambda: process.descendants() == [])
