from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from apps.keys import issuing
from apps.keys.models import EnvironmentLabel
from apps.keys.queries import grants_of
from apps.orgs.models import ACTOR_KINDS, UnitKind
from apps.orgs.queries import find_unit, organization_by_slug
from apps.orgs.units import find_or_create_actor
from spendra.kernel.arguments import duration, nanos
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Issues a key to an actor, which is created where there is none, and shows the key this once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument("--actor", required=True, metavar="NAME", help="A name, kind:name, or the id of a unit.")
        parser.add_argument("--kind", choices=sorted(ACTOR_KINDS), help="Of a new actor: agent where not said.")
        parser.add_argument("--parent", action="append", default=[], metavar="U", help="What a new actor belongs to.")
        parser.add_argument("--grant", action="append", default=[], metavar="PROVIDER/MODEL", dest="grants")
        parser.add_argument(
            "--environment", choices=EnvironmentLabel.values, default=EnvironmentLabel.DEVELOPMENT.value
        )
        parser.add_argument("--expires-in", type=duration, metavar="30d")
        parser.add_argument("--project", metavar="U", help="A project for which the key's spend counts as well.")
        parser.add_argument("--max-reservation-usd", type=nanos, metavar="USD", dest="max_reservation_nanos")
        parser.add_argument("--default-output-tokens", type=int, metavar="N")

    @transaction.atomic
    def perform(self, **options: Any) -> dict[str, object]:
        organization = organization_by_slug(options["organization"])
        actor = find_or_create_actor(
            organization=organization,
            name=options["actor"],
            kind=options["kind"],
            parents=[find_unit(organization, parent) for parent in options["parent"]],
            acting="command:key_issue",
        )
        project = options["project"] and find_unit(organization, options["project"], kinds=[UnitKind.PROJECT])
        issued = issuing.issue(
            organization=organization,
            actor=actor,
            grants=options["grants"],
            environment_label=options["environment"],
            expires_in=options["expires_in"],
            project=project,
            max_reservation_nanos=options["max_reservation_nanos"],
            default_output_tokens=options["default_output_tokens"],
            acting="command:key_issue",
        )
        told = issuing.describe(issued.record, grants_of(issued.record))
        return {"key": issued.key, "organization": organization.slug, "actor_id": str(actor.id), **told}

    def describe(self, result: dict[str, Any]) -> str:
        grants = ", ".join(result["grants"]) or "nothing yet: it has no grant"
        expiry = f", until {result['expires_at']}" if result["expires_at"] else ""
        return (
            f"{result['key']}\n\nThis is the only time that the key is shown. Its id is {result['key_id']}.\n"
            f"It belongs to {result['actor']} of {result['organization']} and reaches {grants}{expiry}."
        )
