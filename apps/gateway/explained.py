"""An explanation as machines read it, and as parts that a person's is made of."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from apps.gateway import errors
from apps.gateway.explaining import Explanation
from apps.gateway.refusals import scope_name
from apps.gateway.remaining import told_cap
from apps.gateway.routing import Route, budgets_in_scope, is_granted, is_in_force, scopes_of, view_of
from apps.gateway.rules import OrganizationRules
from apps.policies import evaluation, sentences
from apps.policies.types import Considered, PolicyRule, RequestView
from spendra.kernel.errors import Refused
from spendra.kernel.money import format_usd


def told(found: Explanation) -> dict[str, Any]:
    """One JSON value. What the decision never came to is None: a frozen key's request is not priced, say."""
    rules, key, like = found.rules, found.key, found.like
    units = scopes_of(rules, key)
    return {
        "organization": rules.slug,
        "at": found.at.isoformat(),
        "decision": "refuse" if found.refusal else "allow",
        "refusal": told_refusal(found.refusal),
        "key": _key(found),
        "request": {
            "provider": like.provider,
            "model": like.model,
            "max_tokens": like.max_tokens,
            "input_tokens": like.input_tokens or None,
            "tools": list(like.tools),
        },
        "scopes": scopes_named(rules, units),
        "freezes": _freezes(found, units),
        "price_version_id": found.route and found.route.price_version_id,
        "worst_case": _worst_case(found),
        "policies": _policies(found),
        "approval": _approval(found),
        "caps": _caps(found),
        "budgets_left_out": _left_out(found),
    }


def told_refusal(refusal: Refused | None) -> dict[str, Any] | None:
    """As the gateway says it."""
    if refusal is None:
        return None
    status, _, _ = errors.answer(refusal, "")
    return {"code": refusal.code, "status": status, "message": refusal.message, "details": refusal.details}


def told_rule(considered: Considered, rules_scope: str) -> dict[str, Any]:
    rule = considered.rule
    return {
        "policy": rule.name,
        "version": rule.number,
        "version_id": str(rule.version_id),
        "kind": rule.kind,
        "scope": rules_scope,
        "is_shadow": rule.is_shadow,
        "outcome": considered.outcome,
        "reason": considered.reason,
    }


def scopes_named(rules: OrganizationRules, unit_ids: Sequence[UUID]) -> list[dict[str, str]]:
    """The units of a scope set as people know them, nearest first, then the organization."""
    units = [rules.units[unit_id] for unit_id in unit_ids]
    named = [{"id": str(unit.id), "kind": unit.kind, "name": unit.name} for unit in units]
    return [*named, {"id": str(rules.id), "kind": "organization", "name": rules.slug}]


def _key(found: Explanation) -> dict[str, Any]:
    key, like = found.key, found.like
    names = {like.model} | ({found.route.entry.model} if found.route else set())
    return {
        "key_id": key.key_id,
        "environment": key.environment,
        "expires_at": key.expires_at and key.expires_at.isoformat(),
        "is_revoked": key.is_revoked,
        "grants": list(key.grants),
        "is_granted": any(is_granted(key, like.provider, name) for name in names),
    }


def _freezes(found: Explanation, units: Sequence[UUID]) -> list[dict[str, str]]:
    """All that are in the way; the gateway names the first."""
    rules = found.rules
    targets = [
        ("organization", str(rules.id)),
        *(("unit", str(unit)) for unit in units),
        ("provider_account", found.like.provider),
        ("key", found.key.key_id),
    ]
    open_ones = [rules.freeze_of[target] for target in targets if target in rules.freeze_of]
    return [
        {
            "target": freeze.target_kind,
            "target_id": freeze.target_id,
            "reason": sentences.frozen(freeze, unit=_unit(rules, freeze.target_kind, freeze.target_id)),
        }
        for freeze in open_ones
    ]


def _unit(rules: OrganizationRules, kind: str, target_id: str) -> str:
    if kind != "unit":
        return ""
    unit = rules.units[UUID(target_id)]
    return f"{unit.kind} {unit.name}"


def _worst_case(found: Explanation) -> dict[str, Any] | None:
    estimate = found.estimate
    if estimate is None:
        return None
    return {
        "nanos": str(estimate.nanos),
        "usd": format_usd(estimate.nanos),
        "input_tokens": estimate.input_tokens,
        "output_tokens": estimate.output_tokens,
        "choices": estimate.choices,
        "is_default_output": estimate.is_default_output,
    }


def _view(found: Explanation, route: Route) -> RequestView:
    assert found.estimate is not None
    return view_of(
        route,
        tools=found.tools,
        nanos=found.estimate.nanos,
        input_tokens=found.estimate.input_tokens,
        output_tokens=found.estimate.all_output_tokens,
    )


def _policies(found: Explanation) -> list[dict[str, Any]] | None:
    if found.route is None or found.estimate is None:
        return None
    considered = evaluation.explain(found.rules.policies.values(), _view(found, found.route), found.at)
    return [told_rule(one, _scope(found.rules, one.rule)) for one in considered]


def _scope(rules: OrganizationRules, rule: PolicyRule) -> str:
    if rule.unit_id is None:
        return f"organization {rules.slug}"
    unit = rules.units[rule.unit_id]
    return f"{unit.kind} {unit.name}"


def _approval(found: Explanation) -> dict[str, Any] | None:
    approval = found.decided.approval if found.decided else None
    if approval is None:
        return None
    return {
        "id": str(approval.id),
        "max_nanos": str(approval.max_nanos),
        "valid_until": approval.valid_until.isoformat(),
    }


def _caps(found: Explanation) -> list[dict[str, Any]] | None:
    if found.window is None:
        return None
    periods = zip(found.window.period_ids, found.window.budgets, strict=True)
    return [
        {**told_cap(found.rules, applied, found.states[period_id]), "asked": found.asked(applied.budget.measure)}
        for period_id, applied in periods
    ]


def _left_out(found: Explanation) -> list[dict[str, Any]] | None:
    """Budgets of these scopes that don't count the request, and why."""
    route = found.route
    if route is None or found.estimate is None:
        return None
    view = _view(found, route)
    counted = set(found.window.budgets) if found.window else set()
    left_out = [one for one in budgets_in_scope(found.rules, scopes_of(found.rules, found.key)) if one not in counted]
    return [
        {
            "rule": str(one.budget.id),
            "scope": scope_name(one, found.rules),
            "period": one.budget.period_kind,
            "reason": (
                sentences.mismatch(one.budget.selector, view)
                if one.budget.selector is not None and is_in_force(one.budget, found.at)
                else "It is not in force at this time."
            ),
        }
        for one in left_out
    ]
