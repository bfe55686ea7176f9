"""SIGTERM and SIGINT at any moment of a start: exit code 0, and nothing is left running.

From the first line of manage.py on: before it, while Python itself begins, a signal still ends the process as the
kernel does. What the tests wait for is that the kernel knows of a handler.
"""

import signal
import time
from pathlib import Path

import pytest

from tests.roles.commands import eventually, role

ROLES = {
    "gateway": ("gateway", "--port", "0"),
    "two gateways": ("gateway", "--port", "0", "--processes", "2"),
    "dashboard": ("dashboard", "--port", "0", "--metrics-port", "0"),
    "worker": ("worker", "--metrics-port", "0"),
}


@pytest.mark.parametrize("milliseconds", [0, 50, 100, 200, 400, 800, 1200])
@pytest.mark.parametrize("name", ROLES)
def test_a_role_that_is_told_to_end_while_it_starts_ends_well(tmp_path, database, name, milliseconds):
    _ends_well(tmp_path, database, name, signal.SIGTERM, milliseconds / 1000)


@pytest.mark.parametrize("name", ROLES)
def test_so_it_does_on_ctrl_c(tmp_path, database, name):
    _ends_well(tmp_path, database, name, signal.SIGINT, 0.2)


def test_a_second_signal_changes_nothing(tmp_path, database):
    with role(tmp_path, database.url, *ROLES["gateway"]) as process:
        _wait_for_handler(process.pid)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            process.child.send_signal(number)
        assert process.exit_code() == 0


def _ends_well(tmp_path, database, name, number, seconds):
    with role(tmp_path, database.url, *ROLES[name]) as process:
        _wait_for_handler(process.pid)
        time.sleep(seconds)
        process.child.send_signal(number)
        assert process.exit_code() == 0, process.errors
        # One that came in a finalizer is told of, and obeyed a moment later.
        assert process.errors.count("Traceback") == process.errors.count("SystemExit: 0"), process.errors
        eventually(lambda: process.descendants() == [])


def _wait_for_handler(pid):
    deadline = time.monotonic() + 10
    while not _handles_sigterm(pid):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _handles_sigterm(pid):
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt"))
    return int(caught.split()[1], 16) & 1 << signal.SIGTERM - 1
