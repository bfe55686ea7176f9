from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from apps.outbox.replaying import replay
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Delivers dead letters again: all of them, those of one consumer, or single messages."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--consumer", default="", metavar="C")
        parser.add_argument("--id", type=UUID, action="append", default=[], dest="message_ids", metavar="MESSAGE")
        parser.add_argument("--reason", default="", help="Kept in the audit record.")

    def perform(self, **options: Any) -> dict[str, object]:
        count = replay(
            acting="command:outbox_replay",
            consumer=options["consumer"],
            message_ids=options["message_ids"],
            reason=options["reason"],
        )
        return {"replayed": count}

    def describe(self, result: Any) -> str:
        return f"{result['replayed']} dead letters are due again; the worker delivers them within seconds."
