"""The sandbox provider as a process: one line when it listens, no database, gone when it should be."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from spendra.development.sandbox_provider.serving import sandbox_process

ROOT = Path(__file__).parents[2]
PARENT = """
from spendra.development.sandbox_provider.serving import sandbox_process
with sandbox_process() as url:
    print(url, flush=True)
    input()
"""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_the_command_announces_itself_without_a_database_and_ends_on_a_signal(ending: signal.Signals) -> None:
    environment = {**os.environ, "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing"}
    command = [sys.executable, "manage.py", "sandbox_provider"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        announced = re.fullmatch(r"sandbox provider on (http://127\.0\.0\.1:\d+)\n", line)
        assert announced, line
        assert httpx.get(f"{announced[1]}/charges").json()["requests"] == 0
        process.send_signal(ending)
        assert process.wait(timeout=5) == 0
        assert process.stdout.read() == ""


def test_it_ends_when_the_process_that_started_it_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert httpx.get(f"{url}/charges").status_code == 200
        process.kill()
    assert becomes_unreachable(url)


def test_it_ends_with_the_block_that_started_it() -> None:
    with sandbox_process() as url:
        assert httpx.get(f"{url}/charges").status_code == 200
    assert becomes_unreachable(url)


def becomes_unreachable(url: str) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/charges")
        except httpx.ConnectError:
            return True
        time.sleep(0.05)
    return False
