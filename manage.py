#!/usr/bin/env python3
"""Every command and role of Spendra; in development it brings its own Postgres."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spendra.roles import early_signals

_ROLES = ("gateway", "dashboard", "worker")
_SETTINGS = {"gateway": "spendra.settings.gateway", "worker": "spendra.settings.worker"}
# `demo` looks after a database of its own.
_WITHOUT_DATABASE = {
    *("help", "version", "check", "makemigrations", "collectstatic"),
    *("sandbox_provider", "demo", "catalog_build"),
}
_POSTGRES_FOLDER = Path(__file__).resolve().parent / ".spendra" / "postgres"


def main(arguments: list[str]) -> int:
    command = arguments[1] if len(arguments) > 1 else "help"
    if command in _ROLES:
        early_signals.catch()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", _SETTINGS.get(command, "spendra.settings.dashboard"))
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line

        from spendra.development.embedded_postgres import EmbeddedPostgresError
    except ModuleNotFoundError as error:
        return _fail(f"{error.name} is not installed in {sys.executable}: run `make demo` once, then .venv/bin/python.")
    try:
        with _database_for(command, arguments):
            execute_from_command_line(arguments)
    except (ImproperlyConfigured, EmbeddedPostgresError) as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return 130
    return 0


@contextmanager
def _database_for(command: str, arguments: list[str]) -> Iterator[None]:
    """DATABASE_URL is set inside, before any settings are read: given, or of the embedded Postgres."""
    if not _needs_embedded_postgres(command, arguments):
        yield
        return
    from spendra.development.embedded_postgres import EmbeddedPostgres

    postgres = EmbeddedPostgres(_POSTGRES_FOLDER)
    try:
        os.environ["DATABASE_URL"] = postgres.start()
        yield
    finally:
        postgres.stop()


def _needs_embedded_postgres(command: str, arguments: list[str]) -> bool:
    from spendra.settings import environment

    options = {argument.partition("=")[0] for argument in arguments}
    asks_for_help = command.startswith("-") or bool({"-h", "--help", "--version"} & options)
    if asks_for_help or command in _WITHOUT_DATABASE or not environment.is_development():
        return False
    return "--database-url" not in options and not environment.read("DATABASE_URL")


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))
