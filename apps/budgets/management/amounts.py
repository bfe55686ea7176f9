"""How commands of this room ask for amounts, and tell them."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.core.management.base import CommandParser

from apps.budgets.models import Budget, Measure
from apps.budgets.types import PeriodState
from apps.orgs.models import Organization
from apps.orgs.queries import units_by_id
from spendra.kernel.arguments import nanos
from spendra.kernel.errors import Invalid
from spendra.kernel.money import format_usd


def add_amount(parser: CommandParser) -> None:
    amount = parser.add_mutually_exclusive_group(required=True)
    amount.add_argument("--amount-usd", type=nanos, metavar="1.50", dest="amount_nanos")
    amount.add_argument("--amount", type=int, metavar="N", help="Of requests or tokens.")


def read_amount(options: dict[str, Any], measure: str) -> int:
    """Invalid where the amount is not one of that measure."""
    given: int | None = options["amount_nanos"] if measure == Measure.NANOS else options["amount"]
    if given is None:
        wanted = "--amount-usd" if measure == Measure.NANOS else "--amount"
        raise Invalid(f"A budget in {'USD' if measure == Measure.NANOS else measure} takes {wanted}.", param="amount")
    return given


def told_budget(budget: Budget) -> dict[str, object]:
    is_money = budget.measure == Measure.NANOS
    return {
        "budget_id": str(budget.id),
        "unit": budget.unit and f"{budget.unit.kind}:{budget.unit.name}",
        "applies_to_each": budget.applies_to_each or None,
        "measure": budget.measure,
        "period": budget.period_kind,
        "hardness": budget.hardness,
        "selector": budget.selector,
        "allocated_from": budget.allocated_from_id and str(budget.allocated_from_id),
        "amount": str(budget.amount),
        "amount_nanos": str(budget.amount) if is_money else None,
        "amount_usd": format_usd(budget.amount) if is_money else None,
    }


def told_states(organization: Organization, states: Iterable[PeriodState]) -> list[dict[str, object]]:
    """Amounts as strings, since a script may read them as floats; the unit of an each-budget's period by its name."""
    states = list(states)
    ids = {UUID(state["unit_id"]) for state in states if state["unit_id"]}
    names = {str(unit.id): f"{unit.kind}:{unit.name}" for unit in units_by_id(organization, sorted(ids))}
    return [_told_state(state, names.get(state["unit_id"] or "")) for state in states]


def _told_state(state: PeriodState, unit: str | None) -> dict[str, object]:
    amounts = {name: str(state[name]) for name in ("cap", "base", "settled", "reserved", "remaining")}
    told = {"period_id": str(state["id"]), "unit": unit, **state, **amounts}
    del told["id"], told["budget_id"]
    return told
