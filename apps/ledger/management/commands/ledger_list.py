import json
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser

from apps.ledger.models import LedgerEntry
from apps.ledger.queries import every_entry
from apps.orgs.queries import organization_by_slug
from spendra.kernel.commands import JsonCommand
from spendra.kernel.errors import NotFound
from spendra.kernel.money import format_usd


class Command(JsonCommand):
    help = "Lists all ledger entries of an organization, oldest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, metavar="SLUG")

    def handle(self, *args: Any, **options: Any) -> None:
        """Written as it is read, page by page: a ledger may hold more entries than memory does."""
        try:
            organization = organization_by_slug(options["organization"])
        except NotFound as error:
            self._refuse(error.code, error.message, error.details, as_json=options["json"])
        else:
            entries = every_entry(organization)
            for piece in _as_json(entries) if options["json"] else map(_as_line, entries):
                self.stdout.write(piece)


def _as_json(entries: Iterator[LedgerEntry]) -> Iterator[str]:
    separator = "["
    for entry in entries:
        yield separator + json.dumps(_told(entry))
        separator = ","
    yield "[]" if separator == "[" else "]"


def _as_line(entry: LedgerEntry) -> str:
    amount = format_usd(entry.amount_nanos)
    return (
        f"{entry.booked_at:%Y-%m-%d %H:%M:%S}  {entry.kind:<10}  {entry.status:<9}  {amount:>16} USD  "
        f"{entry.provider}/{entry.model}"
    )


def _told(entry: LedgerEntry) -> dict[str, object]:
    return {
        "id": str(entry.id),
        "occurred_at": entry.occurred_at.isoformat(),
        "booked_at": entry.booked_at.isoformat(),
        "kind": entry.kind,
        "status": entry.status,
        "amount_nanos": str(entry.amount_nanos),
        "reservation_id": str(entry.reservation_id),
        "provider": entry.provider,
        "model": entry.model,
        "key_id": entry.key_id,
        "scopes": [str(scope) for scope in entry.scope_ids],
    }
