from typing import Any

from django.core.management.base import CommandParser

from apps.orgs.queries import find_unit, organization_by_slug
from apps.orgs.units import move
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Lets a unit belong to exactly these parents, from the next request on. What was spent stays where it was."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("unit", metavar="U", help="A name, kind:name, or an id.")
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument("--parent", action="append", default=[], metavar="U", help="None: it belongs to no unit.")

    def perform(self, **options: Any) -> dict[str, object]:
        organization = organization_by_slug(options["organization"])
        unit = find_unit(organization, options["unit"])
        parents = [find_unit(organization, parent) for parent in options["parent"]]
        move(unit, organization=organization, parents=parents, acting="command:unit_move")
        return {
            "id": str(unit.id),
            "organization": organization.slug,
            "kind": unit.kind,
            "name": unit.name,
            "parents": [f"{parent.kind}:{parent.name}" for parent in parents],
        }

    def describe(self, result: dict[str, Any]) -> str:
        return f"The {result['kind']} {result['name']} is below {', '.join(result['parents']) or 'no unit'}."
