from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from apps.budgets.ending import end_by_hand
from apps.orgs.queries import organization_by_slug
from spendra.kernel.commands import JsonCommand
from spendra.kernel.money import format_usd


class Command(JsonCommand):
    help = "Ends an open reservation at once, booked at its amount as `estimated`."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("reservation_id", type=UUID, metavar="ID")
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument("--reason", required=True, help="Kept in the audit record.")

    def perform(self, **options: Any) -> dict[str, object]:
        ended = end_by_hand(
            options["reservation_id"],
            organization=organization_by_slug(options["organization"]),
            acting="command:reservation_end",
            reason=options["reason"],
        )
        return {"id": str(ended.id), "state": ended.state, "booked_nanos": str(ended.booked_nanos)}

    def describe(self, result: dict[str, Any]) -> str:
        booked = format_usd(int(result["booked_nanos"]))
        return f"Reservation {result['id']} is ended; {booked} USD are booked as estimated."
