from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from apps.budgets import quarantining
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Dismisses an ending that Postgres refused: nobody has to look any more. Audited, with the reason."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("quarantined_id", type=UUID, metavar="ID", help="As quarantine_list tells it.")
        parser.add_argument("--reason", required=True, help="Kept in the audit record.")

    def perform(self, **options: Any) -> dict[str, object]:
        found = quarantining.resolve(
            options["quarantined_id"], acting="command:quarantine_resolve", reason=options["reason"]
        )
        return {"id": str(found.id), "reservation_id": str(found.reservation_id), "resolved": True}

    def describe(self, result: Any) -> str:
        return f"{result['id']} is resolved; reservation {result['reservation_id']} is swept where it is still open."
