"""Refusals in words: which rule or cap, what is left of it, what was asked, when it resets."""

from datetime import datetime, timedelta
from uuid import UUID

from apps.budgets.types import Verdict
from apps.gateway.estimates import Estimate
from apps.gateway.routing import AppliedBudget, Route, Window
from apps.gateway.rules import OrganizationRules
from apps.policies.selectors import told
from apps.policies.types import Decision, Fired
from spendra.kernel.errors import (
    BudgetExceeded,
    BudgetInFlight,
    PolicyDenied,
    RateLimited,
    Refused,
    ReservationTooLarge,
    ReviewRequired,
)
from spendra.kernel.money import format_usd

# How long a client waits before it asks again for money that running requests hold.
IN_FLIGHT_RETRY_MS = 500
_WITHOUT_RESET = frozenset({"total", "fixed"})


def from_verdict(verdict: Verdict, route: Route, window: Window, estimate: Estimate, now: datetime) -> Refused:
    """BudgetExceeded where settled money leaves no room, RateLimited where the end of the window makes room again,
    BudgetInFlight where only running requests hold it."""
    applied = window.budgets[window.period_ids.index(verdict["period_id"])]
    details = _details(verdict, applied, route, estimate)
    kind, measure = applied.budget.period_kind, verdict["measure"]
    cap = f"{kind} cap of {_amount(verdict['cap'], measure)} on {scope_name(applied, route.rules)}{_for(applied)}"
    asked = f"this request asked {_amount(asked_of(estimate, measure), measure)}{_why(estimate, measure)}"
    if verdict["verdict"] == "exceeded":
        return BudgetExceeded(
            f"The {cap} has {_amount(max(0, verdict['cap'] - verdict['settled']), measure)} left; {asked}. "
            f"{_when(applied, verdict)}{' A lower output limit may fit.' if less_may_fit(verdict) else ''}",
            details=details,
        )
    if verdict["verdict"] == "rate_limited":
        seconds = _seconds_until(verdict["resets_at"], now)
        return RateLimited(
            f"The {cap} has {_amount(_free(verdict), measure)} left; {asked}. "
            f"The next {kind} begins in {seconds} seconds.",
            details={
                **details,
                "remaining": str(_free(verdict)),
                "resets_in_seconds": seconds,
                "retry_after_ms": seconds * 1000,
            },
        )
    return BudgetInFlight(
        f"The {cap} is held by running requests: {_amount(verdict['settled'], measure)} is spent and "
        f"{_amount(verdict['reserved'], measure)} reserved; {asked}. Try again in a moment.",
        details={**details, "retry_after_ms": IN_FLIGHT_RETRY_MS},
    )


def less_may_fit(verdict: Verdict) -> bool:
    """Whether a smaller estimate could pass: not where nothing is left, or where it is requests that are counted."""
    return verdict["measure"] != "requests" and verdict["settled"] < verdict["cap"]


def policy_denied(decision: Decision) -> PolicyDenied:
    return PolicyDenied(_reasons(decision), details=_of(decision))


def review_required(decision: Decision, estimate: Estimate) -> ReviewRequired:
    """What the policies say; whoever asks for the review adds which one it is."""
    return ReviewRequired(_reasons(decision), details={**_of(decision), "asked": str(estimate.nanos)})


def reservation_too_large(estimate: Estimate, limit: int) -> ReservationTooLarge:
    return ReservationTooLarge(
        f"This key may reserve at most {format_usd(limit)} USD a request; "
        f"this one asked {format_usd(estimate.nanos)} USD{_why(estimate, 'nanos')}. Set a lower output limit.",
        details={"limit": str(limit), "asked": str(estimate.nanos)},
    )


def scope_name(applied: AppliedBudget, rules: OrganizationRules) -> str:
    unit: UUID | None = applied.unit_id or applied.budget.unit_id
    if unit is None:
        return f"organization {rules.slug}"
    return f"{rules.units[unit].kind} {rules.units[unit].name}"


def _details(verdict: Verdict, applied: AppliedBudget, route: Route, estimate: Estimate) -> dict[str, object]:
    return {
        "rule": str(applied.budget.id),
        "scope": scope_name(applied, route.rules),
        "scope_id": str(applied.unit_id or applied.budget.unit_id or route.rules.id),
        "measure": verdict["measure"],
        "cap": str(verdict["cap"]),
        "settled": str(verdict["settled"]),
        "reserved": str(verdict["reserved"]),
        "asked": str(asked_of(estimate, verdict["measure"])),
        "remaining": str(max(0, verdict["cap"] - verdict["settled"])),
        "resets_at": None if applied.budget.period_kind in _WITHOUT_RESET else verdict["resets_at"],
    }


def _of(decision: Decision) -> dict[str, object]:
    """The rule that is named first, and all that fired."""
    return {**_named(decision.fired[0]), "fired": [_named(fired) for fired in decision.fired]}


def _named(fired: Fired) -> dict[str, object]:
    return {
        "rule": str(fired.policy_id),
        "policy": fired.name,
        "version": fired.number,
        "version_id": str(fired.version_id),
        "kind": fired.kind,
        "effect": fired.effect,
        "reason": fired.reason,
    }


def _reasons(decision: Decision) -> str:
    return " ".join(fired.reason for fired in decision.fired if fired.effect == decision.effect)


def asked_of(estimate: Estimate, measure: str) -> int:
    return {"nanos": estimate.nanos, "tokens": estimate.tokens, "requests": 1}[measure]


def _free(verdict: Verdict) -> int:
    return max(0, verdict["cap"] - verdict["settled"] - verdict["reserved"])


def _for(applied: AppliedBudget) -> str:
    """What its selector narrows it to."""
    members = applied.budget.selector.as_json().values() if applied.budget.selector else ()
    return "".join(f" for {told(values)}" for values in members)


def _amount(value: int, measure: str) -> str:
    return f"{format_usd(value)} USD" if measure == "nanos" else f"{value} {measure}"


def _why(estimate: Estimate, measure: str) -> str:
    if estimate.is_default_output and measure != "requests":
        return f" because no max_tokens was set ({estimate.output_tokens} tokens of output assumed)"
    return ""


def _when(applied: AppliedBudget, verdict: Verdict) -> str:
    if applied.budget.period_kind in _WITHOUT_RESET:
        return "It does not reset by itself."
    return f"It resets at {verdict['resets_at'][:16].replace('T', ' ')} UTC."


def _seconds_until(instant: str, now: datetime) -> int:
    """Whole ones, so that the next window has begun by then."""
    return max(1, -((now - datetime.fromisoformat(instant)) // timedelta(seconds=1)))
