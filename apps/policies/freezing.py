"""The stop switch. It takes no lock of the organization: it must not wait for a change that somebody left open."""

from dataclasses import dataclass

from django.db import transaction

from apps.keys.queries import find_key
from apps.orgs.models import Organization, Unit
from apps.orgs.queries import units_by_id
from apps.policies.audited import FREEZE
from apps.policies.models import Freeze, FreezeTargetKind
from apps.providers.models import ProviderAccount
from spendra.kernel.clock import database_now
from spendra.kernel.errors import Invalid, NotFound

_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class Target:
    """`id` is the id of an organization or unit, a provider's name, a key's public id. A freeze of a provider outlives
    the account: an account that takes its place is frozen, too."""

    kind: FreezeTargetKind
    id: str
    name: str  # for people


def find_target(
    organization: Organization, *, unit: Unit | None = None, key_id: str | None = None, provider: str | None = None
) -> Target:
    """The organization itself where nothing narrower is named. NotFound for what is not there or another's, Invalid
    where several are named."""
    if sum(named is not None for named in (unit, key_id, provider)) > 1:
        raise Invalid("Name a unit, a key or a provider: one at a time.")
    if unit is not None:
        (found,) = units_by_id(organization, [unit.id])
        return Target(FreezeTargetKind.UNIT, str(found.id), str(found))
    if key_id is not None:
        key = find_key(key_id, organization=organization)
        return Target(FreezeTargetKind.KEY, key.key_id, f"key {key.key_id}")
    if provider is not None:
        if not ProviderAccount.objects.filter(organization=organization, provider=provider).exists():
            raise NotFound(f"{organization} has no account at {provider!r}.")
        return Target(FreezeTargetKind.PROVIDER_ACCOUNT, provider, f"account at {provider}")
    return Target(FreezeTargetKind.ORGANIZATION, str(organization.id), f"organization {organization}")


def target_of(freeze: Freeze) -> Target:
    """Of a freeze that is there, also where what it stops is gone."""
    return Target(FreezeTargetKind(freeze.target_kind), freeze.target_id, str(freeze))


@transaction.atomic
def freeze(*, organization: Organization, target: Target, reason: str, acting: str) -> Freeze:
    """Once this has returned, no gateway reserves for the target any more; what is running is settled as usual.

    Idempotent: a target that is frozen stays so, for the reason it has. Invalid without a reason that can be shown.
    """
    made, is_new = Freeze.objects.get_or_create(
        organization=organization,
        target_kind=target.kind,
        target_id=target.id,
        thawed_at=None,
        defaults={"reason": _clean_reason(reason), "frozen_by": acting, "frozen_at": database_now()},
    )
    if is_new:
        after = {"target_kind": target.kind, "target_id": target.id}
        FREEZE.record("freeze", made, after=after, acting=acting, reason=made.reason)
    return made


@transaction.atomic
def thaw(*, organization: Organization, target: Target, reason: str, acting: str) -> Freeze:
    """Lets requests of the target pass again. NotFound where it is not frozen. Locks the freeze's row.

    What is frozen otherwise stays so: thawing a key does not thaw its unit.
    """
    open_ones = Freeze.objects.select_for_update(no_key=True).filter(organization=organization, thawed_at=None)
    found = open_ones.filter(target_kind=target.kind, target_id=target.id).first()
    if found is None:
        raise NotFound(f"The {target.name} is not frozen.")
    found.thawed_by, found.thawed_at, found.thaw_reason = acting, database_now(), _clean_reason(reason)
    found.save(update_fields=["thawed_by", "thawed_at", "thaw_reason"])
    before = {"target_kind": found.target_kind, "target_id": found.target_id}
    FREEZE.record("thaw", found, before=before, acting=acting, reason=found.thaw_reason)
    return found


def _clean_reason(reason: str) -> str:
    """Callers read it."""
    reason = reason.strip()
    if not 1 <= len(reason) <= _LONGEST_REASON or not reason.isprintable():
        raise Invalid(f"Say why, in one line of 1 to {_LONGEST_REASON} characters.", param="reason")
    return reason
