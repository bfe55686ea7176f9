"""Ctrl-C, SIGTERM and the death of `make`: each ends the demo and everything that it started."""

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_PR_SET_PDEATHSIG = 1


class Interrupted(BaseException):
    """Unwinds everything, so that whatever was started is ended."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, the first signal raises Interrupted and the next ones are ignored: all is being ended already."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    _end_with_make()
    yield


def ignore() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> None:
    ignore()
    raise Interrupted(number)


def _end_with_make() -> None:
    """Who kills `make demo` with SIGKILL has not met this process. Any other parent may go, as a shell does."""
    parent = os.getppid()
    try:
        is_make = Path(f"/proc/{parent}/comm").read_text().strip() in {"make", "gmake"}
    except OSError:
        return
    if is_make:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
