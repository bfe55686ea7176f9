"""Which versions were in force, or in shadow, at an instant of the past: for explaining what was decided then."""

from datetime import datetime

from django.db.models import Q

from apps.orgs.models import Organization
from apps.policies.models import PolicyVersion
from apps.policies.stored import policy_rule
from apps.policies.types import PolicyRule


def rules_at(organization: Organization, at: datetime) -> tuple[PolicyRule, ...]:
    """Those that a gateway had in its snapshot then, dates aside: `evaluation.explain` says which of them had begun."""
    begun = Q(activated_at__lte=at) | Q(shadowed_at__lte=at)
    versions = PolicyVersion.objects.filter(begun, organization=organization).exclude(retired_at__lte=at)
    return tuple(_rule(version, at) for version in versions.select_related("policy").order_by("policy__name", "number"))


def _rule(version: PolicyVersion, at: datetime) -> PolicyRule:
    policy = version.policy
    is_active = version.activated_at is not None and version.activated_at <= at
    return policy_rule(
        [
            str(version.id),
            str(policy.id),
            policy.name,
            version.number,
            policy.kind,
            policy.unit_id and str(policy.unit_id),
            version.selector,
            version.rule,
            not is_active,
            version.effective_from and version.effective_from.isoformat(),
            version.effective_until and version.effective_until.isoformat(),
        ]
    )
