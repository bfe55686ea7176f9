from typing import Any

from django.core.management.base import CommandParser

from apps.orgs.queries import organization_by_slug
from apps.policies.queries import versions_of
from apps.policies.telling import told_version
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Lists an organization's policies: every version that is not retired."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, metavar="SLUG")

    def perform(self, **options: Any) -> list[dict[str, object]]:
        return [told_version(version) for version in versions_of(organization_by_slug(options["organization"]))]

    def describe(self, result: list[dict[str, Any]]) -> str:
        lines = (
            f"{told['name']}  version {told['number']}  {told['state']}  {told['kind']}  "
            f"{told['unit'] or 'organization'}  {told['selector']}  {told['rule']}"
            for told in result
        )
        return "\n".join(lines) or "There are no policies."
