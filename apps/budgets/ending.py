from functools import partial
from uuid import UUID

from django.db import DataError, IntegrityError, transaction

from apps.audit.recording import AuditTrail
from apps.budgets.expiring import settle
from apps.budgets.models import Reservation, ReservationState
from apps.budgets.retrying import again
from apps.orgs.models import Organization
from spendra.kernel.errors import Conflict, NotFound

_TRAIL = AuditTrail(room="budgets", kind="reservation")


def end_by_hand(reservation_id: UUID, *, organization: Organization, acting: str, reason: str) -> Reservation:
    """Ends an open reservation at once, booked at its amount as `estimated`; a settle that comes later corrects it.

    NotFound where it is not the organization's, Conflict where it has ended already or Postgres refuses it for its
    data. Locks the reservation, then its periods, then writes the audit record: one short transaction, its own, tried
    again over deadlocks.
    """
    try:
        return again(partial(_end, reservation_id, organization, acting, reason))
    except (DataError, IntegrityError) as error:
        raise Conflict(
            f"Postgres refuses to end this reservation: {str(error).splitlines()[0]}. Mend that first."
        ) from error


@transaction.atomic(durable=True)
def _end(reservation_id: UUID, organization: Organization, acting: str, reason: str) -> Reservation:
    _find(reservation_id, organization)
    [outcome] = settle([{"id": str(reservation_id), "kind": "expire", "by_hand": True}])
    if outcome["outcome"] != ReservationState.EXPIRED:
        raise Conflict("This reservation has ended already.")
    ended = _find(reservation_id, organization)
    after = {"booked_nanos": str(ended.booked_nanos), "end_cause": ended.end_cause}
    _TRAIL.record("end_reservation", ended, after=after, acting=acting, reason=reason)
    return ended


def _find(reservation_id: UUID, organization: Organization) -> Reservation:
    found = Reservation.objects.filter(id=reservation_id, organization_id=organization.id).first()
    if found is None:
        raise NotFound(f"There is no reservation {reservation_id} in {organization}.")
    return found
