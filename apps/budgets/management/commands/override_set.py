from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from apps.budgets import overriding
from apps.budgets.management.amounts import add_amount, read_amount
from apps.budgets.management.overrides import describe, told
from apps.budgets.queries import find_budget
from apps.orgs.queries import organization_by_slug
from spendra.kernel.arguments import instant
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Changes a cap for a time; the base stays and is in force again afterwards."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("budget", type=UUID, metavar="BUDGET_ID")
        parser.add_argument("--organization", required=True, metavar="SLUG")
        add_amount(parser)
        parser.add_argument("--starts", type=instant, metavar="INSTANT", help="Now where left out.")
        parser.add_argument("--ends", type=instant, required=True, metavar="INSTANT")
        parser.add_argument("--reason", required=True)

    def perform(self, **options: Any) -> dict[str, object]:
        organization = organization_by_slug(options["organization"])
        budget = find_budget(organization, options["budget"])
        override = overriding.override_cap(
            budget.id,
            organization=organization,
            amount=read_amount(options, budget.measure),
            starts_at=options["starts"],
            ends_at=options["ends"],
            acting="command:override_set",
            reason=options["reason"],
        )
        return told(override)

    def describe(self, result: dict[str, Any]) -> str:
        return describe(result)
