"""What a policy says, while it is written. Nothing here is in force: `lifecycle` sees to that."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from apps.orgs import organizations
from apps.orgs.models import Organization, Unit
from apps.orgs.names import clean_name
from apps.orgs.queries import units_by_id
from apps.policies import checking, contents, selectors
from apps.policies.audited import POLICY
from apps.policies.models import Policy, PolicyVersion, VersionState
from apps.policies.types import Finding
from spendra.kernel.errors import Conflict, Invalid, NotFound

_NOTHING: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Changed:
    """A version as it is now, and what is odd about it."""

    version: PolicyVersion
    findings: tuple[Finding, ...]


@transaction.atomic
def create_policy(
    *,
    organization: Organization,
    name: str,
    kind: str,
    rule: object,
    acting: str,
    selector: object = _NOTHING,
    unit: Unit | None = None,
) -> Changed:
    """A policy for a unit, or for the whole organization, with a first draft: version 1.

    Invalid for a selector or rule that cannot be and for an archived unit, NotFound for another organization's unit,
    Conflict for a name that the organization has. Locks the organization's row.
    """
    organizations.lock(organization)
    scope = None if unit is None else units_by_id(organization, [unit.id])[0]
    if scope is not None and scope.archived_at is not None:
        raise Invalid(f"The {scope} is archived: no policy can be for it.", param="unit")
    said = _said(kind, selector, rule)
    name = clean_name(name, of="a policy")
    if Policy.objects.filter(organization=organization, name=name).exists():
        raise Conflict(f"{organization} has a policy {name!r} already: draft a version of it.", param="name")
    policy = Policy.objects.create(organization=organization, unit=scope, name=name, kind=kind)
    version = _draft(policy, 1, said, acting)
    after = {"name": name, "kind": kind, "unit": str(scope or ""), "version": 1, **said}
    POLICY.record("create_policy", policy, after=after, acting=acting)
    return Changed(version, checking.check(version))


@transaction.atomic
def draft_version(
    policy: Policy,
    *,
    organization: Organization,
    revision: int,
    rule: object,
    acting: str,
    selector: object = _NOTHING,
) -> Changed:
    """A new version of the policy, to be edited until it is put in shadow or in force; the others stay as they are.

    NotFound for another organization's policy, Conflict where its revision is another than the caller saw or where it
    has a draft already, Invalid for what cannot be. Locks the organization's row.
    """
    current = lock_policy(policy.id, organization=organization, revision=revision)
    said = _said(current.kind, selector, rule)
    newest = current.versions.order_by("-number")[0]
    if current.versions.filter(state=VersionState.DRAFT).exists():
        raise Conflict(f"The policy {current.name!r} has a draft already: edit it, or retire it.")
    version = _draft(current, newest.number + 1, said, acting)
    POLICY.record("draft_version", current, after={"version": version.number, **said}, acting=acting)
    return Changed(version, checking.check(version))


@transaction.atomic
def edit_draft(
    version: PolicyVersion,
    *,
    organization: Organization,
    revision: int,
    rule: object,
    acting: str,
    selector: object = _NOTHING,
) -> Changed:
    """The draft says something else. Conflict where it has left draft, or somebody changed the policy since the caller
    saw its revision; otherwise as `draft_version`."""
    policy = lock_policy(version.policy_id, organization=organization, revision=revision)
    current = policy.versions.get(id=version.id)
    if current.state != VersionState.DRAFT:
        raise Conflict(f"Version {current.number} is {current.state}, and stays as it is: draft a new one.")
    before = {"version": current.number, "selector": current.selector, "rule": current.rule}
    said = _said(policy.kind, selector, rule)
    current.selector, current.rule = said["selector"], said["rule"]
    current.save(update_fields=["selector", "rule"])
    POLICY.record("edit_draft", policy, before=before, after={"version": current.number, **said}, acting=acting)
    return Changed(current, checking.check(current))


def lock_policy(policy_id: UUID, *, organization: Organization, revision: int) -> Policy:
    """The policy as it is now, one revision further: two people who saw the same one cannot both change it.

    Locks the organization's row, so that no unit is archived meanwhile.
    """
    organizations.lock(organization)
    policy = Policy.objects.select_related("unit").filter(organization=organization, id=policy_id).first()
    if policy is None:
        raise NotFound(f"There is no policy {policy_id} in {organization}.")
    if policy.revision != revision:
        raise Conflict(f"Somebody has changed the policy {policy.name!r} since you saw it: look at it again.")
    policy.revision += 1
    policy.save(update_fields=["revision"])
    return policy


def _said(kind: str, selector: object, rule: object) -> dict[str, dict[str, object]]:
    """As it is stored: each thing in one way, whatever way a person wrote it in."""
    return {
        "selector": {**selectors.parse(selector).as_json()},
        "rule": contents.parse(kind, rule).as_json(),
    }


def _draft(policy: Policy, number: int, said: dict[str, dict[str, object]], acting: str) -> PolicyVersion:
    return PolicyVersion.objects.create(
        organization_id=policy.organization_id, policy=policy, number=number, created_by=acting, **said
    )
