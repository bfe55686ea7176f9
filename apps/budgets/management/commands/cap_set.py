from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandParser

from apps.budgets import capping, seeding
from apps.budgets.models import Budget, Hardness, Period, PeriodKind
from apps.orgs.models import UnitKind
from apps.orgs.queries import find_unit, organization_by_slug
from spendra.kernel.commands import JsonCommand
from spendra.kernel.money import format_usd, parse_usd


def nanos(text: str) -> int:
    try:
        return parse_usd(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error


class Command(JsonCommand):
    help = "Creates or changes the one budget of a scope, period and hardness. The next request is held to it."

    def add_arguments(self, parser: CommandParser) -> None:
        periods = [kind for kind in PeriodKind.values if kind != PeriodKind.FIXED]
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument(
            "--unit", metavar="U", help="A name, kind:name or id; the whole organization where left out."
        )
        parser.add_argument("--each", choices=UnitKind.values, default="", help="One such budget for each below it.")
        parser.add_argument("--amount-usd", type=nanos, required=True, metavar="1.50", dest="amount_nanos")
        parser.add_argument("--period", choices=periods, required=True)
        parser.add_argument("--soft", action="store_true", help="Count and alert, never refuse.")
        parser.add_argument("--reason", default="", help="Kept in the audit record.")

    def perform(self, **options: Any) -> dict[str, object]:
        organization = organization_by_slug(options["organization"])
        budget = capping.set_cap(
            organization=organization,
            unit=find_unit(organization, options["unit"]) if options["unit"] else None,
            applies_to_each=options["each"],
            period_kind=options["period"],
            amount=options["amount_nanos"],
            hardness=Hardness.SOFT if options["soft"] else Hardness.HARD,
            acting="command:cap_set",
            reason=options["reason"],
        )
        return {"organization": organization.slug, **_told(budget, seeding.open_current(budget.id))}

    def describe(self, result: dict[str, Any]) -> str:
        scope = result["unit"] or result["organization"]
        each = f" for each {result['applies_to_each']} of" if result["applies_to_each"] else " of"
        lines = [f"The {result['hardness']} cap a {result['period']}{each} {scope} is {result['amount_usd']} USD."]
        if result["current"]:
            spent, held = (format_usd(int(result["current"][name])) for name in ("settled_nanos", "reserved_nanos"))
            lines.append(f"In the current period {spent} USD are spent and {held} USD are reserved.")
        return "\n".join(lines)


def _told(budget: Budget, period: Period | None) -> dict[str, object]:
    return {
        "budget_id": str(budget.id),
        "unit": budget.unit and f"{budget.unit.kind}:{budget.unit.name}",
        "applies_to_each": budget.applies_to_each or None,
        "period": budget.period_kind,
        "hardness": budget.hardness,
        "amount_nanos": str(budget.amount),
        "amount_usd": format_usd(budget.amount),
        "current": period
        and {
            "label": period.label,
            "starts_at": period.starts_at.isoformat(),
            "ends_at": period.ends_at.isoformat(),
            "settled_nanos": str(period.settled),
            "reserved_nanos": str(period.reserved),
        },
    }
