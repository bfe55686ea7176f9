from uuid import UUID

from apps.budgets.models import Reservation, ReservationState
from apps.orgs.models import Organization


def reservations_of(
    organization: Organization, *, is_open: bool = False, before: UUID | None = None, limit: int = 100
) -> list[Reservation]:
    """A page of reservations, newest first; `before` is the last id of the page that came before."""
    reservations = Reservation.objects.filter(organization_id=organization.id)
    if is_open:
        reservations = reservations.filter(state=ReservationState.OPEN)
    if before is not None:
        reservations = reservations.filter(id__lt=before)
    return list(reservations.order_by("-id")[:limit])
