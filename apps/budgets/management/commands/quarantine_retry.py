from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from apps.budgets import quarantining
from spendra.kernel.commands import JsonCommand
from spendra.kernel.money import format_usd


class Command(JsonCommand):
    help = "Tries an ending that Postgres refused once more, after its cause was mended. Audited, with the reason."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("quarantined_id", type=UUID, metavar="ID", help="As quarantine_list tells it.")
        parser.add_argument("--reason", required=True, help="Kept in the audit record.")

    def perform(self, **options: Any) -> dict[str, object]:
        outcome = quarantining.retry(
            options["quarantined_id"], acting="command:quarantine_retry", reason=options["reason"]
        )
        return {
            "reservation_id": outcome["id"],
            "outcome": outcome["outcome"],
            "booked_nanos": str(outcome["booked_nanos"]),
        }

    def describe(self, result: Any) -> str:
        booked = format_usd(int(result["booked_nanos"]))
        return f"Reservation {result['reservation_id']}: {result['outcome']}, {booked} USD booked."
