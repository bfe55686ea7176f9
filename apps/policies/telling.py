"""Rows as machines read them: what commands print."""

from collections.abc import Sequence
from datetime import datetime

from apps.orgs.models import Organization, Unit
from apps.policies.models import Freeze, PolicyVersion, Review, ReviewState, ShadowCount
from apps.policies.types import Finding
from spendra.kernel.money import format_usd


def told_version(version: PolicyVersion, findings: Sequence[Finding] | None = None) -> dict[str, object]:
    policy = version.policy
    told: dict[str, object] = {
        "policy_id": str(policy.id),
        "version_id": str(version.id),
        "name": policy.name,
        "kind": policy.kind,
        "unit": unit_name(policy.unit),
        "number": version.number,
        "state": version.state,
        "selector": version.selector,
        "rule": version.rule,
        "effective_from": _instant(version.effective_from),
        "effective_until": _instant(version.effective_until),
    }
    if findings is not None:
        told["findings"] = [
            {"code": finding.code, "refused": finding.is_refused, "message": finding.message} for finding in findings
        ]
    return told


def told_shadow(count: ShadowCount | None) -> dict[str, object] | None:
    """What a version would have said of the requests that met it in shadow."""
    if count is None:
        return None
    return {
        "asked": count.asked,
        "denied": count.denied,
        "for_review": count.for_review,
        "first_at": _instant(count.first_at),
        "last_at": _instant(count.last_at),
    }


def told_freeze(freeze: Freeze, *, organization: Organization) -> dict[str, object]:
    return {
        "freeze_id": str(freeze.id),
        "organization": organization.slug,
        "target_kind": freeze.target_kind,
        "target_id": freeze.target_id,
        "reason": freeze.reason,
        "frozen_by": freeze.frozen_by,
        "frozen_at": _instant(freeze.frozen_at),
        "thawed_by": freeze.thawed_by or None,
        "thawed_at": _instant(freeze.thawed_at),
    }


def told_review(review: Review) -> dict[str, object]:
    told: dict[str, object] = {
        "review_id": str(review.id),
        "key_id": review.key_id,
        "provider": review.provider,
        "model": review.model,
        "asked_nanos": str(review.asked_nanos),
        "asked_usd": format_usd(review.asked_nanos),
        "state": review.state,
        "created_at": _instant(review.created_at),
        "decided_by": review.decided_by or None,
        "decided_at": _instant(review.decided_at),
        "note": review.note,
    }
    if review.state == ReviewState.APPROVED:
        told["max_nanos"] = str(review.approval.max_nanos)
        told["valid_until"] = _instant(review.approval.valid_until)
    return told


def unit_name(unit: Unit | None) -> str | None:
    return None if unit is None else f"{unit.kind}:{unit.name}"


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
