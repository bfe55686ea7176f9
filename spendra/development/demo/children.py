"""The demo's child processes: each in a session of its own, its output in a log, and gone when this process is."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from spendra.development.demo.errors import DemoError
from spendra.development.embedded_postgres import launching

_SHOWN_LINES = 12


class Child:
    """A Python process, started from the main thread: the kernel's signal at a parent's death is one of the thread
    that forked. A session of its own: Ctrl-C must reach the demo alone, which then ends its children in order."""

    def __init__(self, name: str, arguments: Sequence[str], *, environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self._log = log
        own = launching.Account("own", os.geteuid(), os.getegid())
        command = launching.command(
            own, settings.BASE_DIR, Path(sys.executable), *arguments, at_parents_end=signal.SIGTERM
        )
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def must_live(self) -> None:
        code = self._process.poll()
        if code is None:
            return
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise DemoError(f"The {self.name} {how}. The last lines of {self._log}:\n{self.last_lines()}")

    def last_lines(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:]
        return "\n".join(f"  {line}" for line in lines or ["(it wrote nothing)"])

    def terminate(self) -> None:
        self._process.terminate()

    def end_by(self, deadline: float) -> None:
        try:
            self._process.wait(max(deadline - time.monotonic(), 0.01))
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
