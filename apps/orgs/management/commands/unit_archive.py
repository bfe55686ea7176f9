from typing import Any

from django.core.management.base import CommandParser

from apps.orgs.queries import find_unit, organization_by_slug
from apps.orgs.units import archive, restore
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Ends a unit: the keys of an archived actor are refused from the next request on. --restore brings it back."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("unit", metavar="U", help="A name, kind:name, or an id.")
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument("--restore", action="store_true")
        parser.add_argument("--reason", default="", help="Kept in the audit record.")

    def perform(self, **options: Any) -> dict[str, object]:
        organization = organization_by_slug(options["organization"])
        act = restore if options["restore"] else archive
        unit = act(
            find_unit(organization, options["unit"]),
            organization=organization,
            acting="command:unit_archive",
            reason=options["reason"],
        )
        archived_at = unit.archived_at and unit.archived_at.isoformat()
        return {"id": str(unit.id), "kind": unit.kind, "name": unit.name, "archived_at": archived_at}

    def describe(self, result: dict[str, Any]) -> str:
        return f"The {result['kind']} {result['name']} is {'archived' if result['archived_at'] else 'in use'}."
