"""`make demo` is what people start, so it is make that they end or kill."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.databases import Database
from tests.demo.demos import Demo, clean_environment


def made_demo(database: Database, folder: Path) -> Demo:
    """By the rule of the Makefile, in the environment of this test instead of the one that `make` prepares."""
    target = ("--old-file=environment", "demo", f"PYTHON={sys.executable}", f"ARGS=--data-dir {folder}")
    return Demo(folder, ["make", *target], clean_environment(DATABASE_URL=database.url))


def press_ctrl_c(make: int) -> None:
    """As a terminal does it: every process of the foreground group gets the signal."""
    os.killpg(make, signal.SIGINT)


def end(make: int) -> None:
    """Make passes it on."""
    os.kill(make, signal.SIGTERM)


@pytest.mark.parametrize(("act", "ended_by"), [(press_ctrl_c, signal.SIGINT), (end, signal.SIGTERM)])
def test_nothing_is_left_when_make_is_ended(
    database: Database, tmp_path: Path, act: Callable[[int], None], ended_by: signal.Signals
) -> None:
    demo = made_demo(database, tmp_path / "demo")
    demo.wait_until_it_serves()
    processes = demo.processes()
    assert len(processes) >= 6
    act(demo.process.pid)
    assert demo.ends(processes) == -ended_by
    assert "Ending: running requests finish, what was spent is settled." in demo.output()


def test_nothing_is_left_when_make_is_killed_while_all_of_it_starts(database: Database, tmp_path: Path) -> None:
    demo = made_demo(database, tmp_path / "demo")
    demo.wait_until(lambda: any("manage.py gateway" in command for command in demo.processes().values()))
    processes = demo.processes()
    demo.process.kill()
    assert demo.ends(processes) == -signal.SIGKILL
