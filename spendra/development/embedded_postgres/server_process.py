"""One postgres process, child of ours, that ends when we do."""

import os
import signal
import subprocess
import threading
from concurrent.futures import Future
from pathlib import Path

_PATIENCE_SECONDS = {signal.SIGINT: 60, signal.SIGQUIT: 20, signal.SIGKILL: 20}


class ServerProcess:
    def __init__(self, arguments: list[str], log: Path) -> None:
        self._owner = os.getpid()
        self._ended = threading.Event()
        spawned: Future[subprocess.Popen[bytes]] = Future()
        # The kernel sends the signal of a parent's death when the *thread* that forked ends: this one stays as long
        # as the server, so that start() may be called from any thread.
        threading.Thread(target=self._run, args=(arguments, log, spawned), name="postgres", daemon=True).start()
        self._process = spawned.result()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    def wait(self, seconds: float) -> bool:
        return self._ended.wait(seconds)

    def end(self, first: signal.Signals) -> None:
        """By `first` (SIGINT: clients are cut, all is written; SIGQUIT: at once), and harder if that takes too long.
        A forked child that inherited this object leaves the server alone."""
        if os.getpid() != self._owner:
            return
        order = list(_PATIENCE_SECONDS)
        for number in order[order.index(first) :]:
            self._process.send_signal(number)
            if self.wait(_PATIENCE_SECONDS[number]):
                return

    def _run(self, arguments: list[str], log: Path, spawned: "Future[subprocess.Popen[bytes]]") -> None:
        try:
            with log.open("wb") as output:
                # A session of its own: Ctrl-C must not stop the database before the gateway has settled.
                process = subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            spawned.set_exception(error)
            return
        spawned.set_result(process)
        process.wait()
        self._ended.set()
