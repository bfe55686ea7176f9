"""/health says whether this process may be sent requests, and why not; /health/live only that it lives."""

import signal
import threading
import time
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.crash.lossy_line import LossyLine
from tests.databases import Database, url_of
from tests.gateway.company import Company, make_company
from tests.gateway.conftest import Sandbox
from tests.gateway.running import RunningGateway
from tests.observability.conftest import started
from tests.roles.commands import eventually
from tests.roles.serving import body_of, connected, exchange, request, status_of

NOBODY = "postgresql://nobody@127.0.0.1:9/none"


def _reasons(gateway: RunningGateway) -> list[str]:
    answer = httpx.get(f"{gateway.url}/health")
    assert (answer.status_code == 200) == (answer.json()["reasons"] == [])
    assert answer.headers["x-request-id"]
    return answer.json()["reasons"]


def test_a_gateway_that_may_serve_is_ready(gateway: RunningGateway) -> None:
    assert httpx.get(f"{gateway.url}/health").json() == {"status": "ok", "reasons": []}
    assert httpx.get(f"{gateway.url}/health/live").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "_._:99999", "a b/../c", "127.0.0.1, 127.0.0.2", "[::1", "x" * 5000])
@pytest.mark.parametrize("path", ["/health", "/health/live"])
def test_probes_do_not_care_for_the_host(gateway: RunningGateway, path: str, host: str) -> None:
    assert status_of(exchange(gateway.port, request(path, host=host))) == 200


def test_without_its_database_it_lives_and_refuses(tmp_path: Path) -> None:
    with started(NOBODY, tmp_path) as gateway:
        assert _reasons(gateway) == ["database: no heartbeat was written lately"]
        assert httpx.get(f"{gateway.url}/health/live").json() == {"status": "ok", "reasons": []}
        refused = httpx.post(f"{gateway.url}/v1/chat/completions", json={}, headers={"x-api-key": "spk_test_x"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
        assert int(refused.headers["retry-after"]) > 0


def test_on_a_database_that_was_never_migrated_it_says_so(database: Database, tmp_path: Path) -> None:
    with psycopg.connect(database.url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{database.name}_empty"')
        with started(url_of(database.url, f"{database.name}_empty"), tmp_path) as gateway:
            (reason,) = _reasons(gateway)
            assert reason.startswith("migrations: ")
            assert reason.endswith("run manage.py migrate")
        server.execute(f'DROP DATABASE "{database.name}_empty" WITH (FORCE)')


def test_what_is_missing_is_seen_within_a_heartbeat(database: Database, own_gateway: RunningGateway) -> None:
    with psycopg.connect(database.url) as connection:
        connection.execute("DELETE FROM django_migrations WHERE app = 'budgets' AND name = '0001_initial'")
        connection.execute(
            "CREATE OR REPLACE FUNCTION spendra_now_v1() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
            "$$ SELECT clock_timestamp() + interval '11 months' $$"
        )
    reasons = eventually(lambda: _reasons(own_gateway), 10)
    assert reasons == [
        "migrations: 1 are not applied; run manage.py migrate",
        "partitions: fewer than two months are made ahead; is the worker running?",
    ]


def test_a_table_that_has_no_month_ahead_turns_it_red(database: Database, own_gateway: RunningGateway) -> None:
    """Also where the others have: the next month nothing could be reserved."""
    with psycopg.connect(database.url) as connection:
        statement = (
            "SELECT format('DROP TABLE %s', inhrelid::regclass) FROM pg_inherits "
            "WHERE inhparent = 'budgets_reservation'::regclass "
            "AND right(inhrelid::regclass::text, 7) > to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')"
        )
        for (drop,) in connection.execute(statement).fetchall():
            connection.execute(drop)
    [reason] = eventually(lambda: _reasons(own_gateway), 10)
    assert reason.startswith("partitions: fewer than two months")


def test_while_it_drains_it_is_not_ready(database: Database, own_gateway: RunningGateway) -> None:
    company = make_company(own_gateway.url)
    slow = threading.Thread(target=lambda: company.chat(sandbox="delay=2"))
    with connected(own_gateway.port) as kept:
        kept.sendall(request("/health", close=False))
        assert status_of(kept.recv(10_000)) == 200
        slow.start()
        eventually(company.reservations)
        assert own_gateway.process is not None
        own_gateway.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        kept.sendall(request("/health", close=False))
        answer = kept.recv(10_000)
        assert status_of(answer) == 503
        assert b"draining" in body_of(answer)
    slow.join()


@pytest.mark.system
def test_a_database_that_goes_away_turns_it_red_and_one_that_returns_turns_it_green(
    database: Database, sandbox: Sandbox, tmp_path: Path
) -> None:
    with (
        LossyLine(database.url) as line,
        RunningGateway(line.url, sandbox.url, tmp_path / "log") as gateway,
    ):
        company: Company = make_company(gateway.url)
        assert company.chat().status_code == 200
        line.is_up = False
        line.break_off("spendra")
        assert company.chat().status_code == 503
        assert eventually(lambda: _reasons(gateway), 30)[0].startswith(("database", "backlog"))
        assert httpx.get(f"{gateway.url}/health/live").status_code == 200
        line.is_up = True
        eventually(lambda: not _reasons(gateway), 20)
        assert company.chat().status_code == 200
        assert [one.state for one in company.wait_for_ends(2) if one.state == "open"] == []
