"""What to do about an ending that Postgres refused: somebody looks, mends the cause, and says so."""

from uuid import UUID

from django.db import transaction

from apps.audit.recording import AuditTrail
from apps.budgets.models import SettleQuarantine
from apps.keys.queries import database_now
from spendra.kernel.errors import Conflict, Invalid, NotFound

_TRAIL = AuditTrail(room="budgets", kind="quarantined settle")


@transaction.atomic
def resolve(quarantined_id: UUID, *, acting: str, reason: str) -> SettleQuarantine:
    """Nobody has to look any more. A reservation that is still open is swept again, and comes back here where the cause
    was not mended.

    Invalid without a reason, NotFound, Conflict where it is resolved already. Locks its row.
    """
    if not reason.strip():
        raise Invalid("Say what was done about it.", param="reason")
    found = SettleQuarantine.objects.select_for_update(no_key=True).filter(id=quarantined_id).first()
    if found is None:
        raise NotFound(f"There is no quarantined settle {quarantined_id}.")
    if found.resolved_at is not None:
        raise Conflict("This is resolved already.")
    found.resolved_at = database_now()
    found.save(update_fields=["resolved_at"])
    _TRAIL.record("resolve_quarantined", found, after={"resolved_at": found.resolved_at}, acting=acting, reason=reason)
    return found
