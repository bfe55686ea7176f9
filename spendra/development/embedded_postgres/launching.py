"""Run one of the wheel's programs under an account, tied to the life of this process."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Account:
    """Who the program runs as. `namespace` keeps the caller's identity on disk and only looks like `uid` inside."""

    how: Literal["own", "namespace", "switch"]
    uid: int
    gid: int

    @property
    def owner(self) -> tuple[int, int]:
        """Whom the files on disk must belong to."""
        return (self.uid, self.gid) if self.how == "switch" else (os.geteuid(), os.getegid())


def command(
    account: Account, directory: Path, program: Path, *arguments: str, at_parents_end: signal.Signals = signal.SIGKILL
) -> list[str]:
    return [
        *(sys.executable, "-I", "-S", str(_LAUNCHER)),
        *(str(os.getpid()), str(int(at_parents_end)), str(directory)),
        *(f"{account.how}:{account.uid}:{account.gid}", str(program), *arguments),
    ]


def run(
    account: Account, directory: Path, program: Path, *arguments: str, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(account, directory, program, *arguments), input=stdin, capture_output=True, text=True, check=False
    )
