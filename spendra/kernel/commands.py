"""The one shape of our commands: with `--json` stdout is exactly one JSON value; exit 0 done, 1 refused, 2 usage."""

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from spendra.kernel.errors import SpendraError

Json: TypeAlias = Mapping[str, Any] | Sequence[Any]


class JsonCommand(BaseCommand):
    """A command says what it did as one value; this class prints it and turns expected failures into exit codes."""

    # Scripts call these in loops: the system checks, which import every URL and admin page, belong to deployment.
    requires_system_checks = []
    requires_migrations_checks = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument("--json", action="store_true", help="Print one JSON value and nothing else.")
        return parser

    @abstractmethod
    def perform(self, **options: Any) -> Json:
        """Does it and returns what `--json` prints; a SpendraError is a refusal."""

    @abstractmethod
    def describe(self, result: Any) -> str:
        """The same for a person to read."""

    def failures(self, result: Any) -> Sequence[str]:
        """Sentences about what the command found wrong: any of them makes it exit with 1 after it has printed."""
        return ()

    def handle(self, *args: Any, **options: Any) -> None:
        _refuse_what_is_not_utf8(options)
        try:
            result = self.perform(**options)
        except SpendraError as error:
            self._refuse(error.code, error.message, error.details, as_json=options["json"])
        except OperationalError as error:
            message = f"the database did not answer: {' '.join(str(error).split())}"
            self._refuse("database_unavailable", message, {}, as_json=options["json"])
        else:
            self.stdout.write(json.dumps(result) if options["json"] else self.describe(result))
            if failures := self.failures(result):
                raise CommandError("\n".join(failures))

    def _refuse(self, code: str, message: str, details: Mapping[str, object], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(
                json.dumps({"error": {"code": code, "message": message, "details": details}}, default=str)
            )
        raise CommandError(message)


def _refuse_what_is_not_utf8(options: Mapping[str, Any]) -> None:
    """Python reads other bytes of an argument as lone surrogates, which nobody takes: not Postgres, not a provider."""
    for name, value in options.items():
        for word in value if isinstance(value, list) else [value]:
            if isinstance(word, str) and not word.isascii() and any("\ud800" <= c <= "\udfff" for c in word):
                raise CommandError(f"--{name.replace('_', '-')} is not UTF-8: {word!r}", returncode=2)
