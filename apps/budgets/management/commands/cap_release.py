from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from apps.budgets import allocating
from apps.budgets.management.amounts import told_budget
from apps.budgets.queries import find_budget
from apps.orgs.queries import organization_by_slug
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Makes a budget stand for itself: its part of the one that it is allocated from is free."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("budget", type=UUID, metavar="BUDGET_ID")
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument("--reason", default="", help="Kept in the audit record.")

    def perform(self, **options: Any) -> dict[str, object]:
        organization = organization_by_slug(options["organization"])
        budget = find_budget(organization, options["budget"])
        return told_budget(
            allocating.release(
                budget, organization=organization, acting="command:cap_release", reason=options["reason"]
            )
        )

    def describe(self, result: dict[str, Any]) -> str:
        return f"The budget {result['budget_id']} stands for itself."
