from datetime import datetime, timedelta
from typing import TypedDict, Unpack

from django.db import transaction

from apps.keys.audited import TRAIL
from apps.keys.issuing import check_environment, check_limits, expiry_of, usable
from apps.keys.models import Key
from apps.keys.queries import lock_key
from apps.orgs.models import Organization, Unit, UnitKind
from spendra.kernel.errors import Invalid


class Limits(TypedDict, total=False):
    """Those that change. None takes one away."""

    max_reservation_nanos: int | None
    default_output_tokens: int | None
    expires_at: datetime | None
    expires_in: timedelta


class Assignment(TypedDict, total=False):
    """What changes of it. None takes the project away."""

    environment_label: str
    project: Unit | None


@transaction.atomic
def change_limits(
    key_id: str, *, acting: str, organization: Organization | None = None, reason: str = "", **changes: Unpack[Limits]
) -> Key:
    """What one request of the key may reserve at most, its default output limit, until when it works: from the next
    request on. What is not named stays as it is. A key that has expired works again where its expiry is to come.

    NotFound for a key that is not there or not the organization's, Invalid for a revoked key or a limit that cannot be.
    Locks the key's row.
    """
    key = _lock_unrevoked(key_id, organization)
    before = _told(key)
    if "expires_at" in changes or "expires_in" in changes:
        key.expires_at = expiry_of(changes.get("expires_at"), changes.get("expires_in"))
    key.max_reservation_nanos = changes.get("max_reservation_nanos", key.max_reservation_nanos)
    key.default_output_tokens = changes.get("default_output_tokens", key.default_output_tokens)
    check_limits(key.max_reservation_nanos, key.default_output_tokens)
    after = _told(key)
    if after != before:
        key.save(update_fields=["expires_at", "max_reservation_nanos", "default_output_tokens"])
        TRAIL.record("change_limits", key, before=before, after=after, acting=acting, reason=reason)
    return key


@transaction.atomic
def reassign(
    key_id: str,
    *,
    acting: str,
    organization: Organization | None = None,
    reason: str = "",
    **changes: Unpack[Assignment],
) -> Key:
    """Which environment the rules see, and for which project the spend of the key counts as well: from the next request
    on. What is not named stays as it is; what was spent or reserved before stays where it was.

    NotFound for a key that is not there or not the organization's, and for another organization's project; Invalid for
    a revoked key, an unknown environment, an archived project or a unit that is none. Locks the key's row.
    """
    key = _lock_unrevoked(key_id, organization)
    before = _assignment(key)
    key.environment_label = changes.get("environment_label", key.environment_label)
    check_environment(key.environment_label)
    if "project" in changes:
        project = changes["project"]
        key.project = project and usable(key.organization, project, kinds={UnitKind.PROJECT}, param="project")
    after = _assignment(key)
    if after != before:
        key.save(update_fields=["environment_label", "project"])
        TRAIL.record("reassign", key, before=before, after=after, acting=acting, reason=reason)
    return key


def _lock_unrevoked(key_id: str, organization: Organization | None) -> Key:
    key = lock_key(key_id, organization=organization)
    if key.revoked_at is not None:
        raise Invalid(f"The key {key.key_id} is revoked: issue a new one.", param="key_id")
    return key


def _assignment(key: Key) -> dict[str, object]:
    return {"environment_label": key.environment_label, "project": key.project and key.project.name}


def _told(key: Key) -> dict[str, object]:
    nanos = key.max_reservation_nanos
    return {
        "max_reservation_nanos": None if nanos is None else str(nanos),
        "default_output_tokens": key.default_output_tokens,
        "expires_at": key.expires_at and key.expires_at.isoformat(),
    }
