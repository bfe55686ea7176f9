from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from apps.keys import format as key_format
from apps.keys.audited import TRAIL
from apps.keys.models import EnvironmentLabel, Grant, Key
from apps.keys.patterns import normalize_all
from apps.orgs.models import ACTOR_KINDS, Organization, Unit, UnitKind
from apps.orgs.queries import units_by_id
from spendra.kernel.clock import database_now
from spendra.kernel.errors import Invalid
from spendra.kernel.money import MAX_AMOUNT_NANOS, format_usd

_MOST_TOKENS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class IssuedKey:
    key: str  # known only here and to whoever is shown it: the database keeps a hash of its secret
    record: Key


@transaction.atomic
def issue(
    *,
    organization: Organization,
    actor: Unit,
    acting: str,
    grants: Sequence[str] = (),
    environment_label: str = EnvironmentLabel.DEVELOPMENT,
    expires_at: datetime | None = None,
    expires_in: timedelta | None = None,
    project: Unit | None = None,
    max_reservation_nanos: int | None = None,
    default_output_tokens: int | None = None,
) -> IssuedKey:
    """Mints a key for an actor; it works on every gateway from the commit on, and reaches exactly what is granted.

    Without grants it reaches nothing yet. NotFound for an actor or project of another organization; Invalid for an
    archived one, for a unit that is no actor or no project, and for a value that cannot be. Takes no lock.
    """
    patterns = normalize_all(grants)
    check_environment(environment_label)
    check_limits(max_reservation_nanos, default_output_tokens)
    minted = key_format.mint(live=settings.IS_PRODUCTION)
    key = Key.objects.create(
        organization=organization,
        actor=usable(organization, actor, kinds=ACTOR_KINDS, param="actor"),
        project=project and usable(organization, project, kinds={UnitKind.PROJECT}, param="project"),
        key_id=minted.key_id,
        secret_sha256=key_format.secret_hash(minted.secret),
        environment_label=environment_label,
        max_reservation_nanos=max_reservation_nanos,
        default_output_tokens=default_output_tokens,
        expires_at=expiry_of(expires_at, expires_in),
    )
    Grant.objects.bulk_create(Grant(organization=organization, key=key, pattern=pattern) for pattern in patterns)
    TRAIL.record("issue", key, after=describe(key, patterns), acting=acting)
    return IssuedKey(key=minted.key, record=key)


def describe(key: Key, grants: Sequence[str]) -> dict[str, object]:
    """What may be told about a key: to the audit, and to whoever issued it."""
    nanos = key.max_reservation_nanos
    return {
        "key_id": key.key_id,
        "actor": f"{key.actor.kind}:{key.actor.name}",
        "project": key.project and key.project.name,
        "grants": list(grants),
        "environment_label": key.environment_label,
        "expires_at": key.expires_at and key.expires_at.isoformat(),
        "max_reservation_nanos": None if nanos is None else str(nanos),
        "default_output_tokens": key.default_output_tokens,
    }


def usable(organization: Organization, unit: Unit, *, kinds: frozenset[UnitKind] | set[UnitKind], param: str) -> Unit:
    """The unit as it is now. NotFound for another organization's; Invalid for another kind, and for an archived one."""
    (current,) = units_by_id(organization, [unit.id])
    if current.kind not in kinds:
        raise Invalid(f"The {current} cannot be the {param} of a key: that is a {' or '.join(sorted(kinds))}.",
                      param=param)  # fmt: skip
    if current.archived_at is not None:
        raise Invalid(f"The {current} is archived. Restore it, or choose another.", param=param)
    return current


def check_environment(label: str) -> None:
    """Invalid for one that there is not."""
    if label not in EnvironmentLabel.values:
        raise Invalid(
            f"{label!r} is no environment: choose one of {', '.join(EnvironmentLabel.values)}.",
            param="environment_label",
        )


def check_limits(max_reservation_nanos: int | None, default_output_tokens: int | None) -> None:
    """Invalid for limits that no key can have; None is none."""
    if max_reservation_nanos is not None and not 1 <= max_reservation_nanos <= MAX_AMOUNT_NANOS:
        raise Invalid(
            f"The most that one request may reserve must be above 0 and at most {format_usd(MAX_AMOUNT_NANOS)} USD.",
            param="max_reservation_nanos",
        )
    if default_output_tokens is not None and not 1 <= default_output_tokens <= _MOST_TOKENS:
        raise Invalid(f"The default output limit must be 1 to {_MOST_TOKENS} tokens.", param="default_output_tokens")


def expiry_of(expires_at: datetime | None, expires_in: timedelta | None) -> datetime | None:
    """The instant meant by either, None being never. Invalid for both, and for one that is no time to come."""
    if expires_at is not None and expires_in is not None:
        raise Invalid("Say either when the key expires or after how long, not both.", param="expires_at")
    if expires_at is None and expires_in is None:
        return None
    now = database_now()
    try:
        expiry = expires_at or now + (expires_in or timedelta())
        if expiry <= now:
            raise Invalid("The key would have expired already: choose a time to come.", param="expires_at")
    except OverflowError as error:
        raise Invalid("The key would expire after the year 9999: leave the expiry out.", param="expires_in") from error
    except TypeError as error:
        raise Invalid("The time at which a key expires needs a time zone.", param="expires_at") from error
    return expiry
