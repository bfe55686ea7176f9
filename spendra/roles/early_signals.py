"""SIGTERM and SIGINT from the first line of a role until its server takes them over: an orderly end, exit code 0.

Python itself would end with 143 or a traceback, and whoever started the role would take it for failed.
"""

import signal

_has_come = False


def catch() -> None:
    """The first one raises SystemExit, so that what was begun is ended on the way out; later ones change nothing."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)


def has_come() -> bool:
    """For who takes over: a finalizer, or a bare `except` of somebody's, may have swallowed the SystemExit."""
    return _has_come


def _end(*_: object) -> None:
    global _has_come
    if not _has_come:
        _has_come = True
        raise SystemExit(0)
