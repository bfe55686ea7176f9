from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from apps.outbox.discarding import discard
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Gives dead letters up for good: those of one consumer, or single messages. Audited, with the reason."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--consumer", default="", metavar="C")
        parser.add_argument("--id", type=UUID, action="append", default=[], dest="message_ids", metavar="MESSAGE")
        parser.add_argument("--reason", required=True, help="Kept in the audit record.")

    def perform(self, **options: Any) -> dict[str, object]:
        count = discard(
            acting="command:outbox_discard",
            consumer=options["consumer"],
            message_ids=options["message_ids"],
            reason=options["reason"],
        )
        return {"discarded": count}

    def describe(self, result: Any) -> str:
        return f"{result['discarded']} dead letters are given up."
