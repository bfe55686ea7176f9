"""What to do about an ending that Postgres refused: somebody looks, mends the cause, and tries it again or says what
else was done."""

from functools import partial
from uuid import UUID

from django.db import DataError, IntegrityError, transaction

from apps.audit.recording import AuditTrail
from apps.budgets.expiring import settle
from apps.budgets.models import SettleQuarantine
from apps.budgets.retrying import again
from apps.budgets.types import Outcome
from spendra.kernel.clock import database_now
from spendra.kernel.errors import Conflict, Invalid, NotFound

_TRAIL = AuditTrail(room="budgets", kind="quarantined settle")


def waiting() -> list[SettleQuarantine]:
    """What nobody has resolved yet, oldest first."""
    return list(SettleQuarantine.objects.filter(resolved_at=None).order_by("id"))


def in_words(count: int) -> str:
    endings = "1 ending waits" if count == 1 else f"{count} endings wait"
    return f"{endings} in quarantine, not booked as asked: see quarantine_list."


def retry(quarantined_id: UUID, *, acting: str, reason: str) -> Outcome:
    """Ends the reservation as it was to be ended then, and resolves it; one that has expired since is corrected.

    Invalid without a reason, NotFound, Conflict where it is resolved already, could not be stored as it was, or
    Postgres refuses it again. Locks its row, the reservation, then its periods: one short transaction, its own.
    """
    try:
        return again(partial(_retry, quarantined_id, acting, reason))
    except (DataError, IntegrityError) as error:
        raise Conflict(f"Postgres refuses it again: {str(error).splitlines()[0]}. Mend that first.") from error


@transaction.atomic
def resolve(quarantined_id: UUID, *, acting: str, reason: str) -> SettleQuarantine:
    """Nobody has to look any more. A reservation that is still open is swept again, and comes back here where the cause
    was not mended.

    Invalid without a reason, NotFound, Conflict where it is resolved already. Locks its row.
    """
    found = _locked(quarantined_id, reason)
    _resolve(found)
    _TRAIL.record("resolve_quarantined", found, after={"resolved_at": found.resolved_at}, acting=acting, reason=reason)
    return found


@transaction.atomic(durable=True)
def _retry(quarantined_id: UUID, acting: str, reason: str) -> Outcome:
    found = _locked(quarantined_id, reason)
    if not isinstance(found.payload, dict):
        raise Conflict("This can't be tried again: Postgres can't even store what was asked.")
    outcomes = settle([found.payload])
    if not outcomes:
        raise Conflict(f"There is no reservation {found.reservation_id} any more.")
    _resolve(found)
    after = {"resolved_at": found.resolved_at, "outcome": outcomes[0]["outcome"]}
    _TRAIL.record("retry_quarantined", found, after=after, acting=acting, reason=reason)
    return outcomes[0]


def _locked(quarantined_id: UUID, reason: str) -> SettleQuarantine:
    if not reason.strip():
        raise Invalid("Say what was done about it.", param="reason")
    found = SettleQuarantine.objects.select_for_update(no_key=True).filter(id=quarantined_id).first()
    if found is None:
        raise NotFound(f"There is no quarantined settle {quarantined_id}.")
    if found.resolved_at is not None:
        raise Conflict("This is resolved already.")
    return found


def _resolve(found: SettleQuarantine) -> None:
    found.resolved_at = database_now()
    found.save(update_fields=["resolved_at"])
