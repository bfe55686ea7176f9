from typing import Any

from django.core.management.base import CommandParser

from apps.budgets import exceeding
from apps.budgets.management.amounts import told_budget, told_states
from apps.budgets.models import amount_in_words
from apps.budgets.queries import budgets_of, running_periods
from apps.orgs.queries import organization_by_slug
from spendra.kernel.commands import JsonCommand


class Command(JsonCommand):
    help = "Lists an organization's budgets with what is left of them, or those above their cap, and why."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument(
            "--above", action="store_true", help="Only where more is spent and reserved than the cap, by cause."
        )

    def perform(self, **options: Any) -> list[dict[str, object]]:
        organization = organization_by_slug(options["organization"])
        budgets = {str(budget.id): budget for budget in budgets_of(organization)}
        ids = [budget.id for budget in budgets.values()]
        if options["above"]:
            found = exceeding.above_caps(organization, ids)
            periods = told_states(organization, (above.period for above in found))
            return [
                {
                    **told_budget(budgets[above.period["budget_id"]]),
                    "current": current,
                    "above": str(above.above),
                    "causes": {cause: str(amount) for cause, amount in above.causes.items()},
                }
                for above, current in zip(found, periods, strict=True)
            ]
        states: dict[str, list[dict[str, object]]] = {id: [] for id in budgets}
        running = running_periods(organization, ids)
        for state, told in zip(running, told_states(organization, running), strict=True):
            states[state["budget_id"]].append(told)
        return [{**told_budget(budget), "current": states[id]} for id, budget in budgets.items()]

    def describe(self, result: Any) -> str:
        return "\n".join(line for row in result for line in _lines(row))


def _lines(row: dict[str, Any]) -> list[str]:
    measure = row["measure"]
    scope = f"{row['unit'] or 'organization'}{' each ' + row['applies_to_each'] if row['applies_to_each'] else ''}"
    head = f"{row['budget_id']}  {row['hardness']:<4}  {row['period']:<6}  {scope}"
    lines = [f"{head}  {amount_in_words(int(row['amount']), measure)}"]
    for state in row["current"] if isinstance(row["current"], list) else [row["current"]]:
        left = amount_in_words(int(state["remaining"]), measure)
        unit = f" of {state['unit']}" if state["unit"] else ""
        lines.append(f"    {state['label']}{unit}: {left} left, until {state['ends_at']}")
    if "causes" in row:
        causes = (f"{cause} {amount_in_words(int(amount), measure)}" for cause, amount in row["causes"].items())
        lines.append(f"    above the cap: {', '.join(causes)}")
    return lines
