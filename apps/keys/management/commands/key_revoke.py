from typing import Any

from django.core.management.base import CommandParser

from apps.keys.revoking import revoke
from apps.orgs.queries import organization_by_slug
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Revokes a key: the next request with it is refused, on every gateway."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key_id", metavar="KEY_ID", help="The part of the key between spk_live_ and the secret.")
        parser.add_argument("--organization", metavar="SLUG", help="Refuse where the key is not this organization's.")
        parser.add_argument("--reason", default="", help="Kept in the audit record.")

    def perform(self, **options: Any) -> dict[str, object]:
        organization = organization_by_slug(options["organization"]) if options["organization"] else None
        key = revoke(
            options["key_id"], organization=organization, reason=options["reason"], acting="command:key_revoke"
        )
        assert key.revoked_at is not None
        return {"key_id": key.key_id, "revoked_at": key.revoked_at.isoformat()}

    def describe(self, result: dict[str, Any]) -> str:
        return f"The key {result['key_id']} is revoked since {result['revoked_at']}."
