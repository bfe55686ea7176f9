"""The load client of the benchmarks counts what happened."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.__main__ import canned_upstream
from spendra.development.sandbox_provider.serving import sandbox_process

ROOT = Path(__file__).parents[2]
BODY = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with canned_upstream() as url:
        yield url


def load(url: str, *options: str, **fields: Any) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "bench.load",
        f"{url}/v1/chat/completions",
        "--body",
        json.dumps({**BODY, **fields}),
    ]
    ran = subprocess.run(
        [*command, "--warmup", "0.1", "--seconds", "0.4", *options], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    seen: dict[str, Any] = json.loads(ran.stdout)
    return seen


@pytest.mark.parametrize("is_stream", [False, True])
def test_requests_are_counted_and_timed(upstream: str, is_stream: bool) -> None:
    seen = load(upstream, "--connections", "4", stream=is_stream)
    assert seen["answered"] >= seen["requests"] > 10
    assert 0 < seen["p50_ms"] <= seen["p99_ms"] < 400
    assert seen["failed"] == 0


def test_what_the_load_client_counts_is_what_arrived() -> None:
    with sandbox_process() as url:
        seen = load(url, "--connections", "3")
        counted = httpx.get(f"{url}/charges").json()
    assert counted["requests"] == seen["answered"]


def test_refused_requests_count_as_failed_and_are_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with sandbox_process() as url:
        seen = load(url, "--header", "x-sandbox: status=500")
    assert seen["failed"] == seen["requests"] > 0
    assert f'answered {seen["failed"]} times: 500 {{"error":' in capfd.readouterr().err


def test_keys_are_dealt_out_to_connections() -> None:
    with sandbox_process() as url:
        seen = load(url, "--connections", "2", "--key", "sk-good", "--key", "spk_refused")
    assert 0 < seen["failed"] < seen["requests"]


def test_more_keys_than_connections_are_all_used() -> None:
    with sandbox_process() as url:
        seen = load(url, "--connections", "1", "--key", "sk-good", "--key", "sk-good", "--key", "spk_refused")
    assert abs(seen["failed"] - seen["requests"] / 3) <= 1


def test_the_cpu_time_of_a_watched_process_is_counted(upstream: str) -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        seen = load(upstream, "--watch", f"busy={busy.pid}")
        busy.kill()
    assert 0 < seen["cpu_seconds"]["busy"] < 0.6
