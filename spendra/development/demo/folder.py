"""The demo's data folder: what is kept there, and that one demo at a time uses it."""

import fcntl
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from spendra.development.demo.errors import DemoError


class DemoFolder:
    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.postgres = self.path / "postgres"
        self.description = self.path / "demo.json"
        self.environment = self.path / "demo.env"
        self._logs = self.path / "logs"

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Inside, the folder exists and is ours alone, and the description of an earlier run is gone."""
        try:
            self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DemoError(
                f"The demo cannot write to {self.path} ({error.strerror}): choose another folder with --data-dir."
            ) from error
        try:
            self._lock(lock)
            self.description.unlink(missing_ok=True)
            yield
        finally:
            os.close(lock)

    def _lock(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoError(
                f"A demo runs on {self.path} already, see {self.description}: "
                "end it, or choose another folder with --data-dir."
            ) from error

    def kept(self, name: str) -> str | None:
        """What an earlier run wrote under that name into demo.env."""
        if not self.environment.exists():
            return None
        words = shlex.split(self.environment.read_text(), comments=True)
        return dict(word.partition("=")[::2] for word in words).get(name)

    def write_environment(self, environment: Mapping[str, str]) -> None:
        lines = [f"{name}={shlex.quote(value)}\n" for name, value in environment.items()]
        _write(self.environment, "".join(lines))

    def write_description(self, description: Mapping[str, object]) -> None:
        _write(self.description, json.dumps(description, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    """By rename, so that whoever sees the file sees all of it; readable by its owner alone from the first byte."""
    building = path.with_name(f".{path.name}.new")
    building.unlink(missing_ok=True)
    with os.fdopen(os.open(building, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    building.rename(path)
