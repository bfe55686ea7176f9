"""Ends processes at random, and starts them again, while callers call."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from spendra.development.embedded_postgres import EmbeddedPostgres
from tests.crash.stage import eventually
from tests.gateway.running import RunningGateway
from tests.roles.commands import Role, all_pids, command_of, parent_of, role
from tests.roles.serving import is_open


class Chaos:
    def __init__(self, seed: int, postgres: EmbeddedPostgres, gateways: list[RunningGateway], folder: Path) -> None:
        self._random = random.Random(seed)
        self._postgres = postgres
        self._gateways = gateways
        self._folder = folder
        self._workers = contextlib.ExitStack()
        self._start_worker()
        self._acts: list[Callable[[], None]] = [
            self.kill_a_gateway_process,
            self.kill_a_gateways_parent,
            self.kill_a_whole_gateway,
            self.drain_a_gateway,
            self.pause_a_gateway_process,
            self.kill_the_relay,
            self.kill_the_worker,
            self.cut_connections,
            lambda: self.restart_postgres("fast"),
            lambda: self.restart_postgres("immediate"),
        ]

    def reign(self, seconds: float) -> int:
        """Each act at least once, then by chance, for that long; returns how many there were."""
        until, count = time.monotonic() + seconds, 0
        pending = self._random.sample(self._acts, len(self._acts))
        while pending or time.monotonic() < until:
            time.sleep(self._random.uniform(0.5, 4))
            (pending.pop() if pending else self._random.choice(self._acts))()
            count += 1
        return count

    def end(self) -> None:
        self._workers.close()

    def kill_a_gateway_process(self) -> None:
        _kill(self._random.choice(_children(self._random.choice(self._gateways))))

    def kill_a_gateways_parent(self) -> None:
        """Its children learn of it and drain."""
        gateway = self._random.choice(self._gateways)
        gateway.kill()
        eventually(lambda: not is_open(gateway.port), 20)
        gateway.start()

    def kill_a_whole_gateway(self) -> None:
        gateway = self._random.choice(self._gateways)
        children = _children(gateway)
        gateway.kill()
        for pid in children:
            _kill(pid)
        eventually(lambda: not is_open(gateway.port), 20)
        gateway.start()

    def drain_a_gateway(self) -> None:
        gateway = self._random.choice(self._gateways)
        gateway.terminate(30)
        gateway.start()

    def pause_a_gateway_process(self) -> None:
        pid = self._random.choice(_children(self._random.choice(self._gateways)))
        os.kill(pid, signal.SIGSTOP)
        time.sleep(self._random.uniform(0.2, 2))
        os.kill(pid, signal.SIGCONT)

    def kill_the_relay(self) -> None:
        for pid in self._worker.descendants():
            if "--part relay" in command_of(pid):
                _kill(pid)

    def kill_the_worker(self) -> None:
        for pid in [self._worker.pid, *self._worker.descendants()]:
            _kill(pid)
        self._workers.close()
        self._start_worker()

    def cut_connections(self) -> None:
        with psycopg.connect(self._postgres.start(), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    def restart_postgres(self, mode: str) -> None:
        self._postgres.restart(mode)

    def _start_worker(self) -> None:
        folder = self._folder / f"worker-{time.monotonic_ns()}"
        folder.mkdir()
        self._worker: Role = self._workers.enter_context(
            role(folder, self._postgres.start(), "worker", "--metrics-port", "0")
        )


def _children(gateway: RunningGateway) -> list[int]:
    assert gateway.process is not None
    return [pid for pid in all_pids() if parent_of(pid) == gateway.process.pid]


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
