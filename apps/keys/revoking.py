from django.db import transaction

from apps.keys.audited import TRAIL
from apps.keys.models import Key
from apps.keys.queries import lock_key
from apps.orgs.models import Organization
from spendra.kernel.clock import database_now


@transaction.atomic
def revoke(key_id: str, *, acting: str, organization: Organization | None = None, reason: str = "") -> Key:
    """Ends a key for ever: once this has returned, no request more is reserved with it, on any gateway. Idempotent.

    NotFound for a key that is not there or not the organization's. Locks the key's row. What is already running is
    settled as usual.
    """
    key = lock_key(key_id, organization=organization)
    if key.revoked_at is None:
        key.revoked_at = database_now()
        key.save(update_fields=["revoked_at"])
        before, after = {"revoked_at": None}, {"revoked_at": key.revoked_at}
        TRAIL.record("revoke", key, before=before, after=after, acting=acting, reason=reason)
    return key
