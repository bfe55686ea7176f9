"""Policies, freezes and approvals of a company, made by the use cases."""

import itertools
from datetime import timedelta
from typing import Any

import httpx

from apps.orgs.models import Unit
from apps.policies import drafting, freezing, lifecycle, reviewing
from apps.policies.models import Approval, Policy, PolicyVersion, Review
from spendra.kernel.clock import database_now
from tests.gateway.company import Company

USD = 10**9
_numbers = itertools.count(1)


def draft(
    company: Company, kind: str, rule: object, *, selector: object = (), unit: Unit | None = None, name: str = ""
) -> PolicyVersion:
    return drafting.create_policy(
        organization=company.organization,
        name=name or f"policy {next(_numbers)}",
        kind=kind,
        rule=rule,
        selector=selector or {},
        unit=unit,
        acting="test",
    ).version


def activate(company: Company, version: PolicyVersion, **dates: Any) -> PolicyVersion:
    return lifecycle.activate(version, **_seen(company, version), **dates).version


def retire(company: Company, version: PolicyVersion) -> None:
    lifecycle.retire(version, **_seen(company, version))


def in_force(company: Company, kind: str, rule: object, **said: Any) -> PolicyVersion:
    return activate(company, draft(company, kind, rule, **said))


def in_shadow(company: Company, kind: str, rule: object, **said: Any) -> PolicyVersion:
    version = draft(company, kind, rule, **said)
    return lifecycle.to_shadow(version, **_seen(company, version)).version


def _seen(company: Company, version: PolicyVersion) -> dict[str, Any]:
    revision = Policy.objects.get(id=version.policy_id).revision
    return {"organization": company.organization, "revision": revision, "acting": "test"}


def freeze(company: Company, reason: str = "Looks stolen", **named: Any) -> None:
    target = freezing.find_target(company.organization, **named)
    freezing.freeze(organization=company.organization, target=target, reason=reason, acting="test")


def thaw(company: Company, **named: Any) -> None:
    target = freezing.find_target(company.organization, **named)
    freezing.thaw(organization=company.organization, target=target, reason="All is well", acting="test")


def approve(
    company: Company, review_id: str, *, max_nanos: int = USD, lasts: timedelta = timedelta(hours=1)
) -> Approval:
    return reviewing.approve(
        Review.objects.get(id=review_id),
        organization=company.organization,
        max_nanos=max_nanos,
        valid_until=database_now() + lasts,
        acting="test",
    )


def error_of(answer: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    return error


def outcome(answer: httpx.Response) -> str:
    """`200`, or the code of the refusal."""
    return "200" if answer.status_code == 200 else error_of(answer)["code"]
