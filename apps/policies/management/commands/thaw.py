from typing import Any

from apps.orgs.models import Organization
from apps.policies import freezing
from apps.policies.freezing import Target
from apps.policies.management.commands import freeze
from apps.policies.models import Freeze


class Command(freeze.Command):
    help = "Ends a freeze: requests of its target pass again, unless something else stops them."

    def act(self, organization: Organization, target: Target, reason: str) -> Freeze:
        return freezing.thaw(organization=organization, target=target, reason=reason, acting="command:thaw")

    def describe(self, result: dict[str, Any]) -> str:
        return f"The {result['target']} is thawed since {result['thawed_at']}."
