from collections.abc import Collection
from datetime import datetime
from uuid import UUID

import orjson
from django.db import connection

from apps.orgs.models import Organization
from apps.policies import evaluation, stored
from apps.policies.models import (
    Policy,
    PolicyKind,
    PolicyVersion,
    Refusal,
    Review,
    ReviewState,
    ShadowCount,
    VersionState,
)
from apps.policies.types import PolicyRule
from spendra.kernel.errors import NotFound


def find_policy(organization: Organization, name: str) -> Policy:
    policy = Policy.objects.filter(organization=organization, name=name).first() if name.isprintable() else None
    if policy is None:
        raise NotFound(f"There is no policy {name!r} in {organization}.")
    return policy


def find_version(policy: Policy, *, number: int | None = None) -> PolicyVersion:
    """The version of that number, or the newest that is not retired. NotFound where there is none."""
    versions = policy.versions.select_related("policy__unit").order_by("-number")
    wanted = versions.exclude(state=VersionState.RETIRED) if number is None else versions.filter(number=number)
    found = wanted.first()
    if found is None:
        which = "that is not retired" if number is None else str(number)
        raise NotFound(f"The policy {policy.name!r} has no version {which}.")
    return found


def versions_of(organization: Organization) -> list[PolicyVersion]:
    """What is not retired, by name and then newest first."""
    versions = PolicyVersion.objects.filter(organization=organization).exclude(state=VersionState.RETIRED)
    return list(versions.select_related("policy__unit").order_by("policy__name", "-number"))


def shadow_counts(organization: Organization) -> dict[UUID, ShadowCount]:
    """By the id of the version."""
    return {count.version_id: count for count in ShadowCount.objects.filter(organization_id=organization.id)}


def find_review(organization: Organization, review_id: str) -> Review:
    try:
        review = Review.objects.filter(organization_id=organization.id, id=UUID(review_id)).first()
    except ValueError:
        review = None
    if review is None:
        raise NotFound(f"There is no review {review_id!r} in {organization}.")
    return review


def reviews_of(organization: Organization, *, state: str | None = None) -> list[Review]:
    """Newest first."""
    reviews = Review.objects.filter(organization_id=organization.id).select_related("approval")
    return list(reviews if state is None else reviews.filter(state=state))


def pending_review(organization: Organization, *, key_id: str, provider: str, model: str) -> Review | None:
    """The one review that waits for this key and model."""
    return Review.objects.filter(
        organization_id=organization.id, key_id=key_id, provider=provider, model=model, state=ReviewState.PENDING
    ).first()


def find_refusal(organization: Organization, request_id: UUID) -> Refusal | None:
    return Refusal.objects.filter(id=request_id, organization_id=organization.id).first()


def alerts_of(organization_ids: Collection[UUID], *, at: datetime) -> dict[UUID, tuple[PolicyRule, ...]]:
    """The alert policies in force at that instant, those in shadow as well, by organization."""
    statement = f"""
        SELECT v.organization_id, {stored.POLICY_ROW}::text FROM {stored.POLICY_ROWS}
        WHERE v.organization_id = ANY (%s) AND p.kind = %s ORDER BY v.id
    """
    found: dict[UUID, list[PolicyRule]] = {}
    with connection.cursor() as cursor:
        cursor.execute(statement, [list(organization_ids), PolicyKind.ALERT])
        for organization_id, row in cursor.fetchall():
            found.setdefault(organization_id, []).append(stored.policy_rule(orjson.loads(row)))
    in_force = {organization: evaluation.window_of(rules, at).rules for organization, rules in found.items()}
    return {organization: rules for organization, rules in in_force.items() if rules}
