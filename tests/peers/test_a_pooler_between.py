"""A transaction pooler between Spendra and Postgres: dashboard, worker and commands go through it, and what moves money
goes past it, by SPENDRA_DATABASE_DIRECT_URL."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django_q.models import Failure, Success
from django_q.tasks import async_task

from spendra import schedules
from tests.commands.running import run, run_json
from tests.databases import Database
from tests.gateway.company import make_company
from tests.gateway.conftest import Sandbox
from tests.gateway.governing import error_of
from tests.gateway.running import RunningGateway
from tests.observability.conftest import NotReadyGateway
from tests.peers.pooling import Pooler
from tests.roles.commands import eventually, get, health, port_in, role, scrape

pytestmark = pytest.mark.system


@pytest.fixture
def pooled(pooler: Pooler, database: Database, monkeypatch: pytest.MonkeyPatch) -> str:
    """As the environment of commands and roles has it; the test itself looks at the database directly."""
    monkeypatch.setenv("DATABASE_URL", pooler.url)
    monkeypatch.setenv("SPENDRA_DATABASE_DIRECT_URL", database.url)
    return pooler.url


@pytest.fixture
def gateway(pooled: str, database: Database, sandbox: Sandbox, tmp_path: Path) -> Iterator[RunningGateway]:
    past_it = {"SPENDRA_DATABASE_DIRECT_URL": database.url}
    with RunningGateway(pooled, sandbox.url, tmp_path / "gateway.log", environment=past_it) as gateway:
        yield gateway


def test_a_request_is_governed_and_what_is_changed_through_the_pooler_binds_the_next_one(
    gateway: RunningGateway,
) -> None:
    company = make_company(gateway.url)
    assert company.chat().status_code == 200
    company.wait_for_ends(1)
    assert [entry.status for entry in company.entries()] == ["final"]
    run_json("cap_set", "--organization", company.organization.slug, "--amount-usd", "0.000001", "--period", "total")
    another = company.another_key()
    assert error_of(company.chat(key=another.key))["code"] == "budget_exceeded"
    run_json("key_revoke", another.record.key_id)
    assert error_of(company.chat(key=another.key))["code"] == "key_rejected"


def test_commands_work_through_it(pooled: str) -> None:
    assert run("migrate", "--check")[0] == 0
    assert run_json("db_smoke")["ok"] is True
    for command in ("ledger_verify", "audit_checkpoint", "audit_verify"):
        code, _, error = run(command)
        assert code == 0, error


def test_the_dashboard_works_through_it(pooled: str, tmp_path: Path) -> None:
    with role(tmp_path, pooled, "dashboard", "--port", "0", "--metrics-port", "0") as dashboard:
        port = port_in(dashboard.wait_for_error_line("dashboard on "))
        assert eventually(lambda: health(port)) == (200, {"status": "ok", "reasons": []})
        assert b"csrfmiddlewaretoken" in get(port, "/admin/login/")[1]
        dashboard.terminate()
        assert dashboard.exit_code() == 0
        assert "Traceback" not in dashboard.errors


def test_the_worker_sweeps_and_does_each_of_its_jobs_through_it(pooled: str, tmp_path: Path) -> None:
    with role(tmp_path, pooled, "worker", "--metrics-port", "0") as worker:
        port = port_in(worker.wait_for_error_line("worker on "))
        eventually(lambda: health(port)[0] == 200)
        tasks = {async_task(job.function) for job in schedules.JOBS}
        succeeded = Success.objects.filter(id__in=tasks)
        try:
            eventually(lambda: succeeded.count() == len(tasks), 60)
        finally:
            assert [(failed.func, failed.result) for failed in Failure.objects.all()] == []
        eventually(lambda: 'spendra_sweeper_sweeps_total{outcome="done"} 3.0' in scrape(port))
        worker.terminate()
        assert worker.exit_code(30) == 0
        assert "Traceback" not in worker.errors


@pytest.mark.parametrize(
    ("ignored", "says"),
    [
        ("extra_float_digits", "unsupported startup parameter: options"),
        ("extra_float_digits,options", "set SPENDRA_DATABASE_DIRECT_URL to the same database past it"),
    ],
    ids=["options are refused", "options are dropped"],
)
def test_a_gateway_that_knows_only_the_pooler_serves_nobody_and_says_why(
    database: Database, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ignored: str, says: str
) -> None:
    """Dropped, they would leave reserves without a lock time-out, and prepared statements to whoever comes by."""
    before = sandbox.requests()
    with (
        Pooler(database.url, tmp_path, {"ignore_startup_parameters": ignored}) as pooler,
        NotReadyGateway(pooler.url, sandbox.url, tmp_path / "gateway.log") as gateway,
    ):
        company = make_company(gateway.url)
        for _ in range(4):
            assert error_of(company.chat())["code"] == "busy"
        health = httpx.get(f"{gateway.url}/health")
        assert (health.status_code, health.json()["reasons"]) == (503, ["database: no heartbeat was written lately"])
        assert says in gateway.log.read_text()
        assert company.reservations() == []
        assert sandbox.requests() == before
        monkeypatch.setenv("DATABASE_URL", pooler.url)
        code, _, error = run("db_smoke")
        assert code == 1
        assert says in error
