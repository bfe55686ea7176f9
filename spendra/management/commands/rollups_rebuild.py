from datetime import date
from typing import Any

from django.core.management.base import CommandParser

from apps.ledger.rollups_rebuilding import rebuild
from apps.orgs.queries import organization_by_slug
from spendra.consumers import reported_periods
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Recounts an organization's rollups from its ledger, beside any traffic; what was right stays as it is."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument("--from", type=date.fromisoformat, dest="since", metavar="YYYY-MM-DD", help="Local date.")
        parser.add_argument("--to", type=date.fromisoformat, dest="until", metavar="YYYY-MM-DD", help="Inclusive.")

    def perform(self, **options: Any) -> dict[str, object]:
        organization = organization_by_slug(options["organization"])
        wrong = rebuild(
            organization,
            reported=reported_periods,
            acting="command:rollups_rebuild",
            since=options["since"],
            until=options["until"],
        )
        return {"organization": organization.slug, "rows_that_were_wrong": wrong}

    def describe(self, result: Any) -> str:
        wrong = result["rows_that_were_wrong"]
        lines = [f"{table}: {count} rows were wrong and are right now." for table, count in wrong.items()]
        return "\n".join(lines or ["Every rollup was right: nothing is changed."])
