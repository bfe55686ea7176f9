"""Rules in, one decision out: pure. Denial goes before review, review before passing; undecidable means denied."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from apps.policies import sentences
from apps.policies.contents import Alert, Allowlist, Content, PerRequestLimit, ReviewAbove
from apps.policies.selectors import names_model, tools_outside
from apps.policies.types import (
    ApprovalRule,
    Considered,
    Decision,
    Fired,
    FreezeRule,
    Outcome,
    PolicyRule,
    RequestView,
    RulesWindow,
)

_Verdict = tuple[Outcome, str]


def rules_by_scope(rules: Iterable[PolicyRule]) -> dict[UUID | None, tuple[PolicyRule, ...]]:
    """The same rules by their unit; those of the whole organization under None."""
    scopes: dict[UUID | None, list[PolicyRule]] = {}
    for rule in rules:
        scopes.setdefault(rule.unit_id, []).append(rule)
    return {scope: tuple(of_scope) for scope, of_scope in scopes.items()}


def in_scope(
    by_scope: Mapping[UUID | None, tuple[PolicyRule, ...]], scope_ids: Iterable[UUID]
) -> tuple[PolicyRule, ...]:
    """The rules of a scope set, found by its scopes: what the organization has beside them costs nothing."""
    found = list(by_scope.get(None, ()))
    for scope in scope_ids:
        found += by_scope.get(scope, ())
    return tuple(found)


def window_of(rules: Iterable[PolicyRule], at: datetime) -> RulesWindow:
    """Those in force at that instant, and the time around it in which none begins or ends."""
    rules = tuple(rules)
    bounds = [bound for rule in rules for bound in (rule.effective_from, rule.effective_until) if bound is not None]
    return RulesWindow(
        rules=tuple(rule for rule in rules if _when(rule, at) is None),
        since=max((bound for bound in bounds if bound <= at), default=None),
        until=min((bound for bound in bounds if bound > at), default=None),
    )


def applicable(rules: Iterable[PolicyRule], request: RequestView) -> tuple[PolicyRule, ...]:
    """Those that can have anything against a request like this one, whatever its tools and amounts: all that need be
    evaluated for the other requests of its key to its model."""
    unknown = replace(request, tools=None)
    return tuple(
        rule
        for rule in rules
        if not isinstance(rule.content, Alert)
        and (rule.selector is None or rule.selector.matches(unknown) is not False)
    )


def decide(rules: Iterable[PolicyRule], request: RequestView, at: datetime) -> Decision:
    """The decision at an instant, whatever the scopes and dates of the rules."""
    scopes = {None, *request.scope_ids}
    return evaluate(tuple(rule for rule in rules if rule.unit_id in scopes and _when(rule, at) is None), request)


def evaluate(rules: tuple[PolicyRule, ...], request: RequestView) -> Decision:
    """`decide` for rules known to be in scope (`in_scope`), in force (`window_of`) and `applicable`."""
    denied: list[Fired] = []
    for_review: list[Fired] = []
    shadow: list[Fired] = []
    for rule in rules:
        verdict = _verdict(rule, request)
        if verdict is None:
            continue
        fired = _fired(rule, verdict)
        if rule.is_shadow:
            shadow.append(fired)
        elif fired.effect == "review":
            for_review.append(fired)
        else:
            denied.append(fired)
    return Decision(
        effect="deny" if denied else "review" if for_review else "allow",
        fired=(*denied, *for_review),
        shadow=tuple(shadow),
        considered=rules,
    )


def weighs_input(content: Content) -> bool:
    """Whether what it says may change with the tokens of the input, be it by their price."""
    if isinstance(content, PerRequestLimit):
        return content.max_nanos is not None or content.max_input_tokens is not None
    return isinstance(content, ReviewAbove) and content.above_nanos is not None


def explain(rules: Iterable[PolicyRule], request: RequestView, at: datetime) -> tuple[Considered, ...]:
    """What every one of the rules, also of other scopes and times, says to the request, in their order."""
    scopes = {None, *request.scope_ids}
    return tuple(Considered(rule, *_explained(rule, scopes, request, at)) for rule in rules)


def _explained(rule: PolicyRule, scopes: set[UUID | None], request: RequestView, at: datetime) -> _Verdict:
    if rule.unit_id not in scopes:
        return "not_in_scope", "It is for a unit that is not among the scopes of this request."
    if (when := _when(rule, at)) is not None:
        return when, sentences.when(rule, when)
    if (verdict := _verdict(rule, request)) is not None:
        return verdict
    if rule.selector is not None and rule.selector.matches(request) is False:
        return "not_selected", sentences.mismatch(rule.selector, request)
    if isinstance(rule.content, Alert):
        return "alerts_only", sentences.alerts(rule.content)
    return "passed", sentences.passed(rule.content, request)


def _when(rule: PolicyRule, at: datetime) -> Outcome | None:
    """None while it is in force."""
    if rule.effective_from is not None and at < rule.effective_from:
        return "not_yet"
    return "ended" if rule.effective_until is not None and at >= rule.effective_until else None


def _fired(rule: PolicyRule, verdict: _Verdict) -> Fired:
    return Fired(
        policy_id=rule.policy_id,
        version_id=rule.version_id,
        number=rule.number,
        name=rule.name,
        kind=rule.kind,
        effect="review" if verdict[0] == "review" else "deny",
        reason=verdict[1],
        is_shadow=rule.is_shadow,
    )


def _verdict(rule: PolicyRule, request: RequestView) -> _Verdict | None:
    """None where it lets the request pass: it isn't for it, has nothing against it, or only alerts."""
    content, selector = rule.content, rule.selector
    if isinstance(content, Alert):
        return None
    if selector is None or (selector.tools and request.tools is None):
        is_selected = None if selector is None else selector.matches(request)
        return None if is_selected is False else ("undecidable", sentences.undecidable_selector(rule))
    if isinstance(content, PerRequestLimit):
        verdict = _above(content, rule, request)
    elif isinstance(content, Allowlist):
        verdict = _outside(content, rule, request)
    elif isinstance(content, ReviewAbove):
        verdict = _review(content, rule, request)
    else:
        verdict = "undecidable", sentences.unreadable(rule, content)
    # Last, since nearly every rule has nothing against nearly every request.
    return None if verdict is None or selector.matches(request) is False else verdict


def _review(above: ReviewAbove, rule: PolicyRule, request: RequestView) -> _Verdict | None:
    if above.above_nanos is not None and request.nanos <= above.above_nanos:
        return None
    return "review", sentences.needs_review(rule, above, request)


def _outside(allowed: Allowlist, rule: PolicyRule, request: RequestView) -> _Verdict | None:
    if allowed.models is not None and not names_model(
        allowed.models, request.provider, request.model, request.named_model
    ):
        return "denied", sentences.model_outside(rule, allowed.models, request)
    if allowed.endpoints is not None and request.endpoint not in allowed.endpoints:
        return "denied", sentences.endpoint_outside(rule, allowed.endpoints, request)
    if allowed.tools is None:
        return None
    if request.tools is None:
        return "undecidable", sentences.tools_unknown(rule, allowed.tools)
    outside = tools_outside(allowed.tools, request.tools)
    return ("denied", sentences.tools_outside(rule, allowed.tools, outside)) if outside else None


def _above(limit: PerRequestLimit, rule: PolicyRule, request: RequestView) -> _Verdict | None:
    if limit.max_nanos is not None and request.nanos > limit.max_nanos:
        return "denied", sentences.too_dear(rule, limit.max_nanos, request)
    if limit.max_input_tokens is not None and request.input_tokens > limit.max_input_tokens:
        return "denied", sentences.too_long(rule, limit.max_input_tokens, request)
    if limit.max_output_tokens is not None and request.output_tokens > limit.max_output_tokens:
        return "denied", sentences.too_much_asked(rule, limit.max_output_tokens, request)
    return None


def freezes_by_target(freezes: Iterable[FreezeRule]) -> dict[tuple[str, str], FreezeRule]:
    return {(freeze.target_kind, freeze.target_id): freeze for freeze in freezes}


def find_freeze(
    by_target: Mapping[tuple[str, str], FreezeRule], *, scope_ids: Iterable[UUID], provider: str, key_id: str
) -> FreezeRule | None:
    """What stops a request of these scopes, if anything does: the widest first. `scope_ids` hold the organization's."""
    if not by_target:
        return None
    scopes = [str(scope) for scope in scope_ids]
    targets = [
        *(("organization", scope) for scope in scopes),
        *(("unit", scope) for scope in scopes),
        ("provider_account", provider),
        ("key", key_id),
    ]
    return next((by_target[target] for target in targets if target in by_target), None)


def usable_approvals(approvals: Iterable[ApprovalRule], request: RequestView, at: datetime) -> tuple[ApprovalRule, ...]:
    """Those by which the request may pass a review, narrowest first. Some may be used: only reserve knows."""
    usable = [
        approval
        for approval in approvals
        if approval.key_id == request.key_id
        and (approval.provider, approval.model) == (request.provider, request.model)
        and request.nanos <= approval.max_nanos
        and at < approval.valid_until
    ]
    return tuple(sorted(usable, key=lambda approval: (approval.max_nanos, approval.valid_until, approval.id)))
