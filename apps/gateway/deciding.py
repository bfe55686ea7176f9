"""What the rules in memory say to a request: pure. Reserve and the tokens of the rules make it binding."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.gateway import refusals
from apps.gateway.estimates import Estimate
from apps.gateway.routing import Choice, Route, is_in_force, view_of
from apps.gateway.rules import BudgetRule
from apps.policies import evaluation
from apps.policies.types import ApprovalRule, Decision
from spendra.kernel.errors import CapRequired, Refused

# A budget in requests or tokens of so short a period is a rate limit: it bounds how fast is spent, not how much.
_RATE_PERIODS = frozenset({"minute", "hour", "day"})
_NONE: Set[UUID] = frozenset()


@dataclass(slots=True)
class Decided:
    """`refusal` says why the request may not pass; None where it may, with `approval` where a review held it back."""

    route: Route
    estimate: Estimate
    tools: frozenset[str] | None
    choice: Choice
    decision: Decision
    approval: ApprovalRule | None
    refusal: Refused | None


def decide(
    route: Route,
    estimate: Estimate,
    *,
    tools: frozenset[str] | None,
    at: datetime,
    used: Set[UUID] = _NONE,
) -> Decided:
    """May a request with that worst case and those hosted tools pass? `used` are approvals known to be spent."""
    choice = route.choice(tools)
    decision, approval = _by_policies(route, estimate, tools, at, used)
    refusal = _refusal(route, choice, decision, approval, estimate, at)
    return Decided(route, estimate, tools, choice, decision, approval, refusal)


def _by_policies(
    route: Route, estimate: Estimate, tools: frozenset[str] | None, at: datetime, used: Set[UUID]
) -> tuple[Decision, ApprovalRule | None]:
    asked = {
        "nanos": estimate.nanos,
        "input_tokens": estimate.input_tokens,
        "output_tokens": estimate.all_output_tokens,
    }
    if route.clearance.holds(tools=tools, **asked):
        return route.cleared, None
    view = view_of(route, tools=tools, **asked)
    decision = evaluation.evaluate(route.policies, view)
    if decision.effect != "review":
        return decision, None
    approvals = evaluation.usable_approvals(route.rules.approvals_of.get(view.key_id, ()), view, at)
    return decision, next((approval for approval in approvals if approval.id not in used), None)


def _refusal(
    route: Route,
    choice: Choice,
    decision: Decision,
    approval: ApprovalRule | None,
    estimate: Estimate,
    at: datetime,
) -> Refused | None:
    if decision.effect == "deny":
        return refusals.policy_denied(decision)
    limit = route.key.max_reservation_nanos
    if limit is not None and estimate.nanos > limit:
        return refusals.reservation_too_large(estimate, limit)
    if route.rules.requires_cap and not any(_caps(applied.budget, at) for applied in choice.budgets):
        return CapRequired(
            f"{route.rules.slug} demands a hard cap for every request, and none applies to this key's scopes."
        )
    if decision.effect == "review" and approval is None:
        return refusals.review_required(decision, estimate)
    return None


def _caps(budget: BudgetRule, at: datetime) -> bool:
    is_rate = budget.measure != "nanos" and budget.period_kind in _RATE_PERIODS
    return budget.is_hard and not is_rate and is_in_force(budget, at)
