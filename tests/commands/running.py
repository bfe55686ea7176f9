"""A command as a script runs it: a process of its own, its exit code and what it prints."""

import json
import subprocess
import sys
from typing import Any

from tests.databases import ROOT


def run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, ROOT / "manage.py", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


def run_json(*arguments: str, exit_code: int = 0) -> Any:
    code, out, error = run(*arguments, "--json")
    assert code == exit_code, error
    return json.loads(out)
