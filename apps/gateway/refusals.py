"""Refusals in words: which cap, what is left of it, what was asked, when it resets."""

from typing import TYPE_CHECKING
from uuid import UUID

from apps.budgets.types import Verdict
from apps.gateway.routing import AppliedBudget, Route, Window
from spendra.kernel.errors import BudgetExceeded, BudgetInFlight, Refused, ReservationTooLarge
from spendra.kernel.money import format_usd

if TYPE_CHECKING:
    from apps.gateway.admission import Estimate

# How long a client waits before it asks again for money that running requests hold.
IN_FLIGHT_RETRY_MS = 500


def from_verdict(verdict: Verdict, route: Route, window: Window, estimate: "Estimate") -> Refused:
    """BudgetExceeded where settled money leaves no room, BudgetInFlight where only running requests hold it."""
    applied = window.budgets[window.period_ids.index(verdict["period_id"])]
    measure = verdict["measure"]
    asked = {
        "nanos": estimate.nanos,
        "tokens": estimate.tokens,
        "requests": 1,
    }[measure]
    remaining = verdict["cap"] - verdict["settled"]
    resets_at = None if applied.budget.period_kind in {"total", "fixed"} else verdict["resets_at"]
    details: dict[str, object] = {
        "rule": str(applied.budget.id),
        "scope": _scope_name(applied, route),
        "scope_id": str(applied.unit_id or applied.budget.unit_id or route.rules.id),
        "measure": measure,
        "cap": str(verdict["cap"]),
        "settled": str(verdict["settled"]),
        "reserved": str(verdict["reserved"]),
        "asked": str(asked),
        "remaining": str(max(0, remaining)),
        "resets_at": resets_at,
    }
    what = f"{applied.budget.period_kind} cap of {_amount(verdict['cap'], measure)} on {_scope_name(applied, route)}"
    why = _why(estimate, measure)
    if verdict["verdict"] == "exceeded":
        return BudgetExceeded(
            f"The {what} has {_amount(max(0, remaining), measure)} left; this request asked {_amount(asked, measure)}"
            f"{why}. {_when(resets_at)} A lower output limit may fit.",
            details=details,
        )
    return BudgetInFlight(
        f"The {what} is held by running requests: {_amount(verdict['settled'], measure)} is spent and "
        f"{_amount(verdict['reserved'], measure)} reserved; this request asked {_amount(asked, measure)}{why}. "
        "Try again in a moment.",
        details={**details, "retry_after_ms": IN_FLIGHT_RETRY_MS},
    )


def reservation_too_large(estimate: "Estimate", limit: int) -> ReservationTooLarge:
    return ReservationTooLarge(
        f"This key may reserve at most {format_usd(limit)} USD a request; "
        f"this one asked {format_usd(estimate.nanos)} USD{_why(estimate, 'nanos')}. Set a lower output limit.",
        details={"limit": str(limit), "asked": str(estimate.nanos)},
    )


def _scope_name(applied: AppliedBudget, route: Route) -> str:
    unit: UUID | None = applied.unit_id or applied.budget.unit_id
    if unit is None:
        return f"organization {route.rules.slug}"
    return f"{route.rules.units[unit].kind} {route.rules.units[unit].name}"


def _amount(value: int, measure: str) -> str:
    return f"{format_usd(value)} USD" if measure == "nanos" else f"{value} {measure}"


def _why(estimate: "Estimate", measure: str) -> str:
    if estimate.is_default_output and measure != "requests":
        return f" because no max_tokens was set ({estimate.output_tokens} tokens of output assumed)"
    return ""


def _when(resets_at: str | None) -> str:
    return f"It resets at {resets_at[:16].replace('T', ' ')} UTC." if resets_at else "It does not reset by itself."
