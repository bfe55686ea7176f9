from typing import Any

from django.core.management.base import CommandParser

from apps.orgs.models import Organization
from apps.orgs.queries import find_unit, organization_by_slug
from apps.policies import freezing
from apps.policies.freezing import Target
from apps.policies.models import Freeze
from apps.policies.telling import told_freeze
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Stops an organization, or one unit, key or provider of it: no further request passes, on any gateway."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, metavar="SLUG")
        target = parser.add_mutually_exclusive_group()
        target.add_argument("--unit", metavar="U", help="A name, kind:name or id.")
        target.add_argument("--key", metavar="KEY_ID", help="The part of the key between spk_live_ and the secret.")
        target.add_argument("--provider", metavar="P", help="Such as openai.")
        parser.add_argument("--reason", required=True, help="Callers read it; kept in the audit record.")

    def perform(self, **options: Any) -> dict[str, object]:
        organization = organization_by_slug(options["organization"])
        target = freezing.find_target(
            organization,
            unit=find_unit(organization, options["unit"]) if options["unit"] else None,
            key_id=options["key"],
            provider=options["provider"],
        )
        changed = self.act(organization, target, options["reason"])
        return {"target": target.name, **told_freeze(changed, organization=organization)}

    def act(self, organization: Organization, target: Target, reason: str) -> Freeze:
        return freezing.freeze(organization=organization, target=target, reason=reason, acting="command:freeze")

    def describe(self, result: dict[str, Any]) -> str:
        return f"The {result['target']} is frozen since {result['frozen_at']}: {result['reason']}"
