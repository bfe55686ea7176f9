from typing import Any

from django.core.management.base import CommandParser

from apps.orgs.queries import organization_by_slug
from apps.policies.queries import shadow_counts, versions_of
from apps.policies.telling import told_shadow, told_version
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Lists an organization's policies: every version that is not retired."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, metavar="SLUG")

    def perform(self, **options: Any) -> list[dict[str, object]]:
        organization = organization_by_slug(options["organization"])
        counts = shadow_counts(organization)
        return [
            {**told_version(version), "shadow": told_shadow(counts.get(version.id))}
            for version in versions_of(organization)
        ]

    def describe(self, result: list[dict[str, Any]]) -> str:
        return "\n".join(map(_line, result)) or "There are no policies."


def _line(told: dict[str, Any]) -> str:
    shadow = told["shadow"]
    counted = (
        f"  in shadow, of {shadow['asked']} requests: {shadow['denied']} denied, {shadow['for_review']} held back"
        if shadow
        else ""
    )
    return (
        f"{told['name']}  version {told['number']}  {told['state']}  {told['kind']}  "
        f"{told['unit'] or 'organization'}  {told['selector']}  {told['rule']}{counted}"
    )
