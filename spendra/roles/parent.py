"""How a child learns that the process which started it is gone, also when that was killed with SIGKILL."""

import os
import signal
import threading
import time


def watch(descriptor: int, *, grace_seconds: float) -> None:
    """`descriptor` is the reading end of a pipe whose writing end only the parent holds. When it closes, this process
    gets SIGTERM, as from an orderly parent, and after `grace_seconds` its whole session gets SIGKILL."""
    threading.Thread(target=_watch, args=(descriptor, grace_seconds), name="parent-watch", daemon=True).start()


def _watch(descriptor: int, grace_seconds: float) -> None:
    while os.read(descriptor, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_seconds)
    os.killpg(os.getpgrp(), signal.SIGKILL)
