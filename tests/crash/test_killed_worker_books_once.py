"""SIGKILL of the worker: its successor does what it did not do, and nothing twice."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.books import Caller, Line, check
from tests.crash.stage import Stage, beside, eventually
from tests.databases import Database
from tests.gateway.company import make_company
from tests.gateway.conftest import Sandbox
from tests.gateway.running import RunningGateway
from tests.roles.commands import Role, command_of, role


@pytest.fixture
def stage(database: Database, sandbox: Sandbox) -> Stage:
    """Without the worker of the other tests: these bring their own."""
    return Stage(database, sandbox)


@pytest.fixture
def doubtful(stage: Stage, tmp_path: Path) -> Caller:
    """A gateway died; four calls of it are in doubt."""
    with RunningGateway(stage.database.url, stage.sandbox.url, tmp_path / "gateway.log") as gateway:
        company = make_company(gateway.url)
        company.cap(10**12)
        caller = Caller(company)
        for _ in range(4):
            beside(lambda: caller.send(sandbox="hang"))
        eventually(lambda: len(company.reservations()) == 4)
        gateway.kill()
    stage.leap()
    return caller


def _worker(stage: Stage, folder: Path) -> "contextlib.AbstractContextManager[Role]":
    folder.mkdir()
    return role(folder, stage.database.url, "worker", "--metrics-port", "0")


def _kill_all(worker: Role) -> None:
    for pid in [worker.pid, *worker.descendants()]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _relay(worker: Role) -> int:
    (pid,) = [pid for pid in worker.descendants() if "--part relay" in command_of(pid)]
    return pid


def _booked_once(caller: Caller, sandbox: Sandbox) -> list[Line]:
    lines = check([caller], sandbox.url)
    assert [[entry.cause for entry in line.entries] for line in lines] == [["expired"]] * 4
    return lines


@contextlib.contextmanager
def _sweep_under_way(stage: Stage) -> Iterator[None]:
    """It has locked the reservations and waits for their periods."""
    with stage.locked("budgets_period", "true"):
        stage.wait_for_lock_wait("budgets_settle_v2")
        yield


def test_a_worker_killed_in_the_middle_of_a_sweep(stage: Stage, doubtful: Caller, tmp_path: Path) -> None:
    with _worker(stage, tmp_path / "first") as worker, _sweep_under_way(stage):
        _kill_all(worker)
    with _worker(stage, tmp_path / "second"):
        _booked_once(doubtful, stage.sandbox)


def test_a_relay_killed_in_the_middle_of_a_sweep_is_started_again(
    stage: Stage, doubtful: Caller, tmp_path: Path
) -> None:
    with _worker(stage, tmp_path / "worker") as worker:
        with _sweep_under_way(stage):
            relay = _relay(worker)
            os.kill(relay, signal.SIGKILL)
        _booked_once(doubtful, stage.sandbox)
        assert _relay(worker) != relay


def test_two_workers_that_sweep_at_once(stage: Stage, doubtful: Caller, tmp_path: Path) -> None:
    with contextlib.ExitStack() as workers:
        with stage.locked("budgets_period", "true"):
            for name in ("one", "other"):
                workers.enter_context(_worker(stage, tmp_path / name)).wait_for_error_line("Sweeping")
            stage.wait_for_lock_wait("budgets_settle_v2")
        _booked_once(doubtful, stage.sandbox)
