from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from apps.budgets.capping import archive_cap
from apps.orgs.queries import organization_by_slug
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Ends a budget: the next request is no longer held to it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("budget_id", type=UUID, metavar="BUDGET_ID", help="As cap_list tells it.")
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument("--reason", default="", help="Kept in the audit record.")

    def perform(self, **options: Any) -> dict[str, object]:
        budget = archive_cap(
            options["budget_id"],
            organization=organization_by_slug(options["organization"]),
            acting="command:cap_archive",
            reason=options["reason"],
        )
        return {"budget_id": str(budget.id), "archived_at": budget.archived_at and budget.archived_at.isoformat()}

    def describe(self, result: dict[str, Any]) -> str:
        return f"The budget {result['budget_id']} is archived."
