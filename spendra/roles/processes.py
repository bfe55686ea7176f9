"""A parent that keeps child processes running: several on one port, or the parts of the worker.

Each child leads a session of its own. So a Ctrl-C in a terminal reaches the parent alone, which then signals each child
alone (a signal to all of its processes at once hangs django-q2), and what a dead child left behind can be ended.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from spendra.roles import early_signals

logger = logging.getLogger(__name__)

_LIVED_SECONDS = 30.0
_FIRST_DELAY_SECONDS = 0.2
_LONGEST_DELAY_SECONDS = 10.0
_MOST_FAILURES = 10


@dataclass(frozen=True)
class Child:
    """`command` is started with `--parent-fd N` appended: the pipe that `parent.watch` reads."""

    name: str
    command: Sequence[str]
    inherited: Sequence[int] = ()


class Supervisor:
    """`listener` is what the children serve; it is held open as long as they are replaced when they die."""

    def __init__(self, children: Sequence[Child], *, listener: socket.socket, drain_seconds: float) -> None:
        self._children = children
        self._listener = listener
        self._drain_seconds = drain_seconds
        self._stopping = asyncio.Event()
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._has_failed = False
        self._parent_fd, self._held_fd = os.pipe()

    def run(self) -> int:
        """Until SIGTERM or SIGINT, or until a child has failed too often in a row. 0 if every child ended well."""
        return asyncio.run(self._run())

    async def _run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        if early_signals.has_come():
            self._stop()
        await asyncio.gather(*(self._keep(child) for child in self._children))
        return 1 if self._has_failed else 0

    def _stop(self) -> None:
        if self._stopping.is_set():
            return
        self._stopping.set()
        # Else who comes now would be accepted by the kernel and wait until the last child has drained.
        self._listener.close()
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        # Children keep their own deadline; this one is for a child that hangs.
        asyncio.get_running_loop().call_later(self._drain_seconds + 5, self._kill)

    def _kill(self) -> None:
        for name, process in self._running.items():
            logger.error("%s (pid %d) did not end in time and is killed", name, process.pid)
            _kill_session(process.pid)

    async def _keep(self, child: Child) -> None:
        failures = 0
        while not self._stopping.is_set():
            begun = time.monotonic()
            code = await self._run_once(child)
            if self._stopping.is_set():
                self._has_failed = self._has_failed or code not in (0, -signal.SIGTERM)
                return
            failures = failures + 1 if time.monotonic() - begun < _LIVED_SECONDS else 1
            if failures == _MOST_FAILURES:
                logger.error("%s failed %d times in a row: giving up", child.name, failures)
                self._has_failed = True
                self._stop()
                return
            await self._pause(child, code, failures)

    async def _run_once(self, child: Child) -> int:
        process = await asyncio.create_subprocess_exec(
            *child.command,
            "--parent-fd",
            str(self._parent_fd),
            pass_fds=(self._parent_fd, *child.inherited),
            start_new_session=True,
        )
        self._running[child.name] = process
        if self._stopping.is_set():
            process.terminate()
        code = await process.wait()
        del self._running[child.name]
        _kill_session(process.pid)
        return code

    async def _pause(self, child: Child, code: int, failures: int) -> None:
        delay = min(_FIRST_DELAY_SECONDS * 2 ** (failures - 1), _LONGEST_DELAY_SECONDS)
        logger.error("%s ended with exit code %d; starting it again in %.1f s", child.name, code, delay)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), delay)


def _kill_session(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
