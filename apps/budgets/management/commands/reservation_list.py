from typing import Any

from django.core.management.base import CommandParser

from apps.budgets.models import Reservation
from apps.budgets.queries import reservations_of
from apps.orgs.queries import organization_by_slug
from spendra.kernel.commands import JsonCommand
from spendra.kernel.money import format_usd


class Command(JsonCommand):
    help = "Lists an organization's open reservations, newest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument("--all", action="store_true", help="Also those that have ended.")
        parser.add_argument("--limit", type=int, default=1000, metavar="N")

    def perform(self, **options: Any) -> list[dict[str, object]]:
        organization = organization_by_slug(options["organization"])
        found = reservations_of(organization, is_open=not options["all"], limit=max(options["limit"], 0))
        return [_told(reservation) for reservation in found]

    def describe(self, result: Any) -> str:
        return "\n".join(
            f"{row['id']}  {row['reserved_at']}  {row['state']:<7}  {format_usd(int(row['amount_nanos'])):>16} USD  "
            f"{row['provider']}/{row['model']}"
            for row in result
        )


def _told(reservation: Reservation) -> dict[str, object]:
    return {
        "id": str(reservation.id),
        "state": reservation.state,
        "end_cause": reservation.end_cause,
        "amount_nanos": str(reservation.amount_nanos),
        "booked_nanos": str(reservation.booked_nanos),
        "provider": reservation.provider,
        "model": reservation.model,
        "key_id": reservation.key_id,
        "request_id": reservation.request_id,
        "scopes": [str(scope) for scope in reservation.scope_ids],
        "period_ids": reservation.period_ids,
        "reserved_at": reservation.reserved_at.isoformat(),
        "expires_at": reservation.expires_at.isoformat(),
        "ended_at": reservation.ended_at.isoformat() if reservation.ended_at else None,
    }
