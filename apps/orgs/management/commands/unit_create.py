from typing import Any

from django.core.management.base import CommandParser

from apps.orgs.models import UnitKind
from apps.orgs.queries import find_unit, organization_by_slug
from apps.orgs.units import create_unit
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Creates a unit: a branch, team, project, employee, agent, subagent or automation."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument("--kind", required=True, choices=UnitKind.values)
        parser.add_argument("--name", required=True)
        parser.add_argument("--parent", action="append", default=[], metavar="U", help="A name, kind:name, or an id.")

    def perform(self, **options: Any) -> dict[str, object]:
        organization = organization_by_slug(options["organization"])
        parents = [find_unit(organization, parent) for parent in options["parent"]]
        unit = create_unit(
            organization=organization,
            kind=options["kind"],
            name=options["name"],
            parents=parents,
            acting="command:unit_create",
        )
        return {
            "id": str(unit.id),
            "organization": organization.slug,
            "kind": unit.kind,
            "name": unit.name,
            "parents": [f"{parent.kind}:{parent.name}" for parent in parents],
        }

    def describe(self, result: dict[str, Any]) -> str:
        below = f", below {', '.join(result['parents'])}" if result["parents"] else ""
        return f"{result['organization']} has the {result['kind']} {result['name']}{below}: {result['id']}"
