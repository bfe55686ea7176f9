"""Draft → shadow → active → retired. A version only goes forward; a policy has at most one in shadow and one active."""

from datetime import datetime

from django.db import transaction

from apps.orgs.models import Organization
from apps.policies import checking
from apps.policies.audited import POLICY
from apps.policies.drafting import Changed, lock_policy
from apps.policies.models import Policy, PolicyVersion, VersionState
from spendra.kernel.clock import database_now
from spendra.kernel.errors import Conflict, Invalid


@transaction.atomic
def to_shadow(
    version: PolicyVersion,
    *,
    organization: Organization,
    revision: int,
    acting: str,
    effective_from: datetime | None = None,
    effective_until: datetime | None = None,
) -> Changed:
    """Lets a draft be observed from the next request on (or from a date, until a date) without deciding anything. The
    version that was in shadow is retired.

    Conflict where it is no draft, or somebody changed the policy since the caller saw its revision; Invalid, with the
    findings, where one is refused; NotFound for another organization's. Locks the organization's row.
    """
    policy = lock_policy(version.policy_id, organization=organization, revision=revision)
    current = _in_state(policy, version, VersionState.DRAFT)
    current.shadowed_at = database_now()
    return _enter(policy, current, VersionState.SHADOW, (effective_from, effective_until), current.shadowed_at, acting)


@transaction.atomic
def activate(
    version: PolicyVersion,
    *,
    organization: Organization,
    revision: int,
    acting: str,
    effective_from: datetime | None = None,
    effective_until: datetime | None = None,
) -> Changed:
    """Puts a draft, or what is in shadow, in force: it binds the next request, or begins and ends by its dates. The
    version that was active is retired in the same moment. Errors and locks as for `to_shadow`."""
    policy = lock_policy(version.policy_id, organization=organization, revision=revision)
    current = _in_state(policy, version, VersionState.DRAFT, VersionState.SHADOW)
    current.activated_at = database_now()
    return _enter(policy, current, VersionState.ACTIVE, (effective_from, effective_until), current.activated_at, acting)


@transaction.atomic
def retire(
    version: PolicyVersion, *, organization: Organization, revision: int, acting: str, reason: str = ""
) -> PolicyVersion:
    """Ends a version for ever, from the next request on; a draft is given up. Errors and locks as for `to_shadow`."""
    policy = lock_policy(version.policy_id, organization=organization, revision=revision)
    current = _in_state(policy, version, VersionState.DRAFT, VersionState.SHADOW, VersionState.ACTIVE)
    _retire(policy, current, database_now(), acting=acting, reason=reason)
    return current


def _in_state(policy: Policy, version: PolicyVersion, *states: VersionState) -> PolicyVersion:
    current = policy.versions.get(id=version.id)
    current.policy = policy
    if current.state not in states:
        raise Conflict(f"Version {current.number} of the policy {policy.name!r} is {current.state}.")
    return current


def _enter(
    policy: Policy,
    version: PolicyVersion,
    state: VersionState,
    dates: tuple[datetime | None, datetime | None],
    now: datetime,
    acting: str,
) -> Changed:
    if any(date is not None and date.tzinfo is None for date in dates):
        raise Invalid("The dates of a policy need a time zone.", param="effective_from")
    before, version.state = version.state, state
    version.effective_from, version.effective_until = dates
    findings = checking.check(version, now=now)
    if refused := [finding.message for finding in findings if finding.is_refused]:
        raise Invalid(" ".join(refused), details={"findings": [finding.code for finding in findings]})
    for replaced in policy.versions.filter(state=state):
        _retire(policy, replaced, now, acting=acting, reason=f"Replaced by version {version.number}.")
    version.save(update_fields=["state", "effective_from", "effective_until", "shadowed_at", "activated_at"])
    after = {
        "version": version.number,
        "state": state,
        "effective_from": version.effective_from,
        "effective_until": version.effective_until,
    }
    verb = "to_shadow" if state == VersionState.SHADOW else "activate"
    POLICY.record(verb, policy, before={"version": version.number, "state": before}, after=after, acting=acting)
    return Changed(version, findings)


def _retire(policy: Policy, version: PolicyVersion, now: datetime, *, acting: str, reason: str) -> None:
    before = {"version": version.number, "state": version.state}
    version.state, version.retired_at = VersionState.RETIRED, now
    version.save(update_fields=["state", "retired_at"])
    after = {"version": version.number, "state": version.state}
    POLICY.record("retire", policy, before=before, after=after, acting=acting, reason=reason)
