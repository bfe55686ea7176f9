from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from apps.budgets import overriding
from apps.budgets.management.overrides import describe, told
from apps.orgs.queries import organization_by_slug
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Ends an override before its time: the next request is held to the base again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("override", type=UUID, metavar="OVERRIDE_ID")
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument("--reason", default="", help="Kept in the audit record.")

    def perform(self, **options: Any) -> dict[str, object]:
        organization = organization_by_slug(options["organization"])
        override = overriding.end_override(
            options["override"], organization=organization, acting="command:override_end", reason=options["reason"]
        )
        return told(override)

    def describe(self, result: dict[str, Any]) -> str:
        return describe(result)
