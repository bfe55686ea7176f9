"""A task for the worker's processes: they import it by name."""

import signal
from pathlib import Path


def die_once(marker: str) -> str:
    if not Path(marker).exists():
        Path(marker).touch()
        signal.raise_signal(signal.SIGKILL)
    return "done"
