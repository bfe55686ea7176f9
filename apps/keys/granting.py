from collections.abc import Sequence

from django.db import transaction

from apps.keys.audited import TRAIL
from apps.keys.models import Grant, Key
from apps.keys.patterns import normalize_all
from apps.keys.queries import grants_of, lock_key
from apps.orgs.models import Organization
from spendra.kernel.errors import Invalid, NotFound


@transaction.atomic
def grant(
    key_id: str, *, patterns: Sequence[str], acting: str, organization: Organization | None = None, reason: str = ""
) -> list[str]:
    """Lets a key use more models, from its next request on; returns all that it is granted then. Idempotent.

    NotFound for a key that is not there or not the organization's, Invalid for a revoked key or a pattern that is no
    grant. Locks the key's row.
    """
    key, wanted = lock_key(key_id, organization=organization), normalize_all(patterns)
    if key.revoked_at is not None:
        raise Invalid(f"The key {key.key_id} is revoked: issue a new one.", param="key_id")
    before = grants_of(key)
    new = [pattern for pattern in wanted if pattern not in before]
    Grant.objects.bulk_create(Grant(organization_id=key.organization_id, key=key, pattern=pattern) for pattern in new)
    return _recorded("grant", key, before, acting=acting, reason=reason)


@transaction.atomic
def withdraw(
    key_id: str, *, patterns: Sequence[str], acting: str, organization: Organization | None = None, reason: str = ""
) -> list[str]:
    """Takes grants from a key, from its next request on; returns those that are left.

    NotFound for a key that is not there or not the organization's, and for a pattern that it is not granted as such:
    withdrawing `openai/gpt-4.1` from a key with `openai/*` would change nothing. Locks the key's row.
    """
    key, unwanted = lock_key(key_id, organization=organization), normalize_all(patterns)
    before = grants_of(key)
    for pattern in unwanted:
        if pattern not in before:
            raise NotFound(f"The key {key.key_id} has no grant {pattern}: it has {', '.join(before) or 'none'}.")
    key.grants.filter(pattern__in=unwanted).delete()
    return _recorded("withdraw", key, before, acting=acting, reason=reason)


def _recorded(verb: str, key: Key, before: list[str], *, acting: str, reason: str) -> list[str]:
    after = grants_of(key)
    if after != before:
        TRAIL.record(verb, key, before={"grants": before}, after={"grants": after}, acting=acting, reason=reason)
    return after
