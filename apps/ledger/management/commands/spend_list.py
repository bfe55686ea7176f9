from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

from django.core.management.base import CommandParser

from apps.ledger import queries
from apps.ledger.types import Spent
from apps.orgs.models import Organization, Unit
from apps.orgs.queries import find_unit, organization_by_slug
from spendra.kernel.commands import JsonCommand
from spendra.kernel.errors import Invalid
from spendra.kernel.money import align_usd, format_usd

_BY: Mapping[str, Callable[..., list[Any]]] = {
    "model": lambda organization, **asked: queries.top_models(organization, **asked, limit=None),
    "key": lambda organization, **asked: queries.top_keys(organization, **asked, limit=None),
    "provider": queries.spent_by_provider,
    "status": queries.spent_by_status,
}


class Command(JsonCommand):
    help = (
        "Lists what an organization, or a unit with all below it, spent on some dates, most first. From the rollups: "
        "what was booked seconds ago may not be in it. Sums of units overlap, since a team's are also its people's."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument("--by", required=True, choices=sorted([*_BY, "unit"]))
        parser.add_argument(
            "--from", required=True, type=date.fromisoformat, dest="since", metavar="YYYY-MM-DD", help="Local date."
        )
        parser.add_argument(
            "--to", required=True, type=date.fromisoformat, dest="until", metavar="YYYY-MM-DD", help="Inclusive."
        )
        parser.add_argument("--unit", metavar="U", help="An id, kind:name or a name; the whole organization without.")

    def perform(self, **options: Any) -> dict[str, object]:
        organization = organization_by_slug(options["organization"])
        unit = find_unit(organization, options["unit"]) if options["unit"] is not None else None
        span = {"since": options["since"], "until": options["until"]}
        if span["until"] < span["since"]:
            raise Invalid("The dates end before they begin.", param="until")
        scope = unit.id if unit else organization.id
        return {
            "organization": organization.slug,
            "unit": str(unit.id) if unit else None,
            "by": options["by"],
            "from": span["since"].isoformat(),
            "to": span["until"].isoformat(),
            "total": _told_sum(queries.spent(organization, scope_id=scope, **span)),
            "rows": _rows(organization, unit, options["by"], span),
        }

    def describe(self, result: Any) -> str:
        lines = [_line(_name(result["by"], row), row) for row in result["rows"]]
        return "\n".join([*lines, _line("total", result["total"])])


def _rows(organization: Organization, unit: Unit | None, by: str, span: Mapping[str, date]) -> list[dict[str, object]]:
    if by != "unit":
        return [_told(row) for row in _BY[by](organization, scope_id=unit.id if unit else organization.id, **span)]
    if unit:
        raise Invalid("What units spent within another is not kept: ask by key, or leave --unit out.", param="unit")
    units = {unit.id: unit for unit in Unit.objects.filter(organization=organization)}
    found = queries.spent_by_unit(organization, unit_ids=list(units), **span)
    return [{"kind": units[row.unit_id].kind, "name": units[row.unit_id].name, **_told(row)} for row in found]


def _told(row: Any) -> dict[str, object]:
    names = {name: str(value) for name, value in asdict(row).items() if name != "spent"}
    return {**names, **_told_sum(row.spent)}


def _told_sum(spent: Spent) -> dict[str, object]:
    return {
        "amount_usd": format_usd(spent.amount_nanos),
        "amount_nanos": str(spent.amount_nanos),
        "estimated_usd": format_usd(spent.estimated_nanos),
        "estimated_nanos": str(spent.estimated_nanos),
        "tokens": spent.tokens,
        "requests": spent.requests,
    }


def _name(by: str, row: Mapping[str, str]) -> str:
    names = {"model": ("provider", "model"), "key": ("key_id",), "unit": ("kind", "name")}.get(by, (by,))
    return "/".join(row[name] for name in names)


def _line(name: str, row: Mapping[str, Any]) -> str:
    amount = align_usd(int(row["amount_nanos"]))
    return f"{amount:>20} USD  {row['tokens']:>12} tokens  {row['requests']:>9} requests  {name}"
