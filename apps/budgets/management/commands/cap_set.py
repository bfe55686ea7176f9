import json
from argparse import ArgumentTypeError
from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from apps.budgets import capping, checking, exceeding, seeding
from apps.budgets.management.amounts import add_amount, read_amount, told_budget
from apps.budgets.models import Budget, Hardness, Measure, Period, PeriodKind, amount_in_words
from apps.budgets.queries import find_budget
from apps.keys.models import EnvironmentLabel
from apps.orgs.models import ACTOR_KINDS, UnitKind
from apps.orgs.queries import find_unit, organization_by_slug
from spendra.kernel.arguments import instant
from spendra.kernel.commands import JsonCommand
from spendra.kernel.errors import Invalid


def selector(text: str) -> dict[str, object]:
    try:
        read = json.loads(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no JSON") from error
    if not isinstance(read, dict):
        raise ArgumentTypeError('a selector is an object such as {"environments": ["production"]}')
    return read


class Command(JsonCommand):
    help = (
        "Creates or changes the one budget of a scope, measure, period, hardness and selection of requests. The next "
        "request is held to it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument(
            "--unit", metavar="U", help="A name, kind:name or id; the whole organization where left out."
        )
        parser.add_argument("--each", choices=UnitKind.values, default="", help="One such budget for each below it.")
        parser.add_argument("--measure", choices=Measure.values, default=Measure.NANOS.value)
        add_amount(parser)
        parser.add_argument("--period", choices=PeriodKind.values, required=True)
        parser.add_argument("--starts", type=instant, metavar="INSTANT", help="Of a fixed period.")
        parser.add_argument("--ends", type=instant, metavar="INSTANT", help="Of a fixed period.")
        parser.add_argument("--soft", action="store_true", help="Count and alert, never refuse.")
        parser.add_argument("--from-now", action="store_true", help="Leave out what a new budget's window has seen.")
        parser.add_argument(
            "--allocated-from",
            type=UUID,
            metavar="BUDGET_ID",
            help="The budget of a scope above of which it is a part.",
        )
        parser.add_argument("--reason", default="", help="Kept in the audit record.")
        self._add_selection(parser)

    def _add_selection(self, parser: CommandParser) -> None:
        selection = parser.add_argument_group("which requests it counts", "All of its scope where nothing is said.")
        selection.add_argument("--select", type=selector, default={}, metavar="JSON", help="The selector as a whole.")
        selection.add_argument("--model", action="append", metavar="PROVIDER/MODEL", dest="models")
        selection.add_argument("--tool", action="append", metavar="TYPE", dest="tools", help="A hosted tool's type.")
        selection.add_argument("--environment", action="append", choices=EnvironmentLabel.values, dest="environments")
        selection.add_argument("--key", action="append", metavar="KEY_ID", dest="key_ids")
        selection.add_argument("--actor-kind", action="append", choices=sorted(ACTOR_KINDS), dest="actor_kinds")

    def perform(self, **options: Any) -> dict[str, object]:
        organization = organization_by_slug(options["organization"])
        parent = options["allocated_from"]
        budget = capping.set_cap(
            organization=organization,
            unit=find_unit(organization, options["unit"]) if options["unit"] else None,
            applies_to_each=options["each"],
            measure=options["measure"],
            period_kind=options["period"],
            amount=read_amount(options, options["measure"]),
            hardness=Hardness.SOFT if options["soft"] else Hardness.HARD,
            selector=_selection(options),
            allocated_from=parent and find_budget(organization, parent),
            fixed_starts_at=options["starts"],
            fixed_ends_at=options["ends"],
            counts_from_now=options["from_now"],
            acting="command:cap_set",
            reason=options["reason"],
        )
        return {
            "organization": organization.slug,
            **told_budget(budget),
            "current": _told_period(seeding.open_current(budget.id), budget),
            "warnings": checking.warnings(budget) + exceeding.warnings(organization, budget),
        }

    def describe(self, result: dict[str, Any]) -> str:
        scope = result["unit"] or result["organization"]
        each = f" for each {result['applies_to_each']} of" if result["applies_to_each"] else " of"
        amount = amount_in_words(int(result["amount"]), result["measure"])
        selected = f", for {json.dumps(result['selector'])}" if result["selector"] else ""
        lines = [f"The {result['hardness']} cap a {result['period']}{each} {scope}{selected} is {amount}."]
        if result["current"]:
            spent, held = (
                amount_in_words(int(result["current"][name]), result["measure"]) for name in ("settled", "reserved")
            )
            lines.append(f"In the current period {spent} are spent and {held} are reserved.")
        return "\n".join([*lines, *result["warnings"]])


def _selection(options: dict[str, Any]) -> dict[str, object]:
    names = ("models", "tools", "environments", "key_ids", "actor_kinds")
    named = {name: options[name] for name in names if options[name]}
    if twice := sorted(named.keys() & options["select"].keys()):
        raise Invalid(f"--select names {twice[0]}, too: say it once.", param="selector")
    return {**options["select"], **named}


def _told_period(period: Period | None, budget: Budget) -> dict[str, object] | None:
    if period is None:
        return None
    told: dict[str, object] = {
        "label": period.label,
        "starts_at": period.starts_at.isoformat(),
        "ends_at": period.ends_at.isoformat(),
        "settled": str(period.settled),
        "reserved": str(period.reserved),
    }
    if budget.measure == Measure.NANOS:
        told |= {"settled_nanos": str(period.settled), "reserved_nanos": str(period.reserved)}
    return told
