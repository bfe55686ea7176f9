"""Debian's Prometheus reads what a gateway of two processes tells, and finds nothing wrong with it."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from spendra.development.embedded_postgres.ports import free_port
from tests.databases import Database
from tests.gateway.company import make_company
from tests.gateway.conftest import Sandbox
from tests.gateway.running import METRICS_TOKEN, RunningGateway
from tests.roles.commands import eventually

pytestmark = pytest.mark.system

CONFIGURATION = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: gateway
    authorization: {{credentials: "{token}"}}
    static_configs: [{{targets: ["127.0.0.1:{gateway}"]}}]
  - job_name: stranger
    authorization: {{credentials: "another token"}}
    static_configs: [{{targets: ["127.0.0.1:{gateway}"]}}]
"""


@pytest.fixture
def gateway(database: Database, sandbox: Sandbox, tmp_path: Path) -> Iterator[RunningGateway]:
    with RunningGateway(database.url, sandbox.url, tmp_path / "gateway.log", processes=2) as gateway:
        yield gateway


@contextmanager
def prometheus(folder: Path, gateway: RunningGateway) -> Iterator[str]:
    """The URL of its API."""
    configuration, port = folder / "prometheus.yml", free_port()
    configuration.write_text(CONFIGURATION.format(token=METRICS_TOKEN, gateway=gateway.port))
    subprocess.run(["promtool", "check", "config", configuration], check=True, capture_output=True)
    command = [
        "prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        yield f"http://127.0.0.1:{port}/api/v1"
    finally:
        process.terminate()
        process.wait(20)


def target(api: str, job: str) -> dict[str, Any]:
    """Once it was scraped."""

    def scraped() -> dict[str, Any] | None:
        try:
            found = httpx.get(f"{api}/targets").json()["data"]["activeTargets"]
        except httpx.TransportError:
            return None
        return next((one for one in found if one["labels"]["job"] == job and one["health"] != "unknown"), None)

    return eventually(scraped)


def value(api: str, query: str) -> float | None:
    result = httpx.get(f"{api}/query", params={"query": query}).json()["data"]["result"]
    return float(result[0]["value"][1]) if result else None


def test_it_scrapes_both_processes_as_one_with_the_token_alone(gateway: RunningGateway, tmp_path: Path) -> None:
    company = make_company(gateway.url)
    for _ in range(10):
        assert company.chat().status_code == 200
    company.wait_for_ends(10)
    with prometheus(tmp_path, gateway) as api:
        scraped = target(api, "gateway")
        assert (scraped["health"], scraped["lastError"]) == ("up", "")
        assert target(api, "stranger")["health"] == "down"
        assert eventually(lambda: value(api, 'spendra_gateway_endings_total{outcome="settled"}')) == 10
        assert value(api, "count(spendra_gateway_ready == 1)") == 2
        # A sample that it can't take is dropped without the target being down.
        time.sleep(3)
        assert value(api, 'min_over_time(up{job="gateway"}[3s])') == 1
        log = (tmp_path / "prometheus.log").read_text()
        assert "Error on ingesting" not in log
        assert "level=error" not in log


def test_promtool_finds_nothing_wrong_with_it(gateway: RunningGateway) -> None:
    company = make_company(gateway.url)
    assert company.chat().status_code == 200
    company.wait_for_ends(1)
    told = httpx.get(f"{gateway.url}/metrics", headers={"authorization": f"Bearer {METRICS_TOKEN}"}).content
    checked = subprocess.run(["promtool", "check", "metrics"], input=told, capture_output=True, check=False)
    assert (checked.stdout.decode(), checked.stderr.decode()) == ("", "")
    assert checked.returncode == 0
