"""How a child learns that the process which started it is gone, also when that was killed with SIGKILL."""

import ctypes
import os
import signal
import threading
import time

_PR_SET_PDEATHSIG = 1
_forking = 0


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


def end_forks_with_their_parent() -> None:
    """From here on a fork of this process, or of one below it, gets SIGKILL when the one that forked it is gone. To be
    used where only main threads fork: the kernel tells of the end of the *thread*."""
    libc = ctypes.CDLL(None)
    os.register_at_fork(before=_remember, after_in_child=lambda: _end_with_parent(libc))


def _remember() -> None:
    global _forking
    _forking = os.getpid()


def _end_with_parent(libc: ctypes.CDLL) -> None:
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != _forking:  # it was gone before the kernel was asked
        os._exit(1)
