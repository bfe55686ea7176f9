from typing import Any

from django.core.management.base import CommandParser

from apps.budgets.management.overrides import describe, told
from apps.budgets.queries import overrides_of
from apps.orgs.queries import organization_by_slug
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Lists an organization's overrides of caps, newest first, those that are over as well."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, metavar="SLUG")

    def perform(self, **options: Any) -> list[dict[str, object]]:
        return [told(override) for override in overrides_of(organization_by_slug(options["organization"]))]

    def describe(self, result: Any) -> str:
        return "\n".join(map(describe, result))
