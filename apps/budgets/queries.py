"""Reads of budgets, periods and reservations; the organization comes first, lists come by page."""

from datetime import datetime
from uuid import UUID

from django.db import connection

from apps.budgets.models import Budget, Period, Reservation, ReservationState
from apps.orgs.models import Organization


def budgets_of(organization: Organization) -> list[Budget]:
    """Those in force, oldest first."""
    budgets = Budget.objects.filter(organization=organization, archived_at=None)
    return list(budgets.select_related("unit").order_by("id"))


def periods_at(organization: Organization, at: datetime) -> list[Period]:
    """What is settled and reserved in the windows that hold `at`, of budgets in force."""
    periods = Period.objects.filter(
        budget__organization=organization, budget__archived_at=None, starts_at__lte=at, ends_at__gt=at
    )
    return list(periods.select_related("budget__unit", "unit").order_by("budget_id", "id"))


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


def open_reservation_count() -> int:
    return Reservation.objects.filter(state=ReservationState.OPEN).count()


def sweep_lag_seconds() -> float:
    """For how long the reservation that waits longest for the sweeper has been due; 0 where none is."""
    return _seconds(
        "SELECT max(spendra_now_v1() - least(expires_at, coalesce(p.seen_at, reserved_at) + interval '30 seconds')) "
        "FROM budgets_reservation r LEFT JOIN budgets_gatewayprocess p ON p.id = r.process_id WHERE state = 'open'"
    )


def oldest_snapshot_seconds() -> float:
    """The age of the oldest snapshot here: while it is held, vacuum cannot prune the hot rows behind it."""
    return _seconds(
        "SELECT max(clock_timestamp() - xact_start) FROM pg_stat_activity "
        "WHERE datname = current_database() AND backend_xmin IS NOT NULL AND pid <> pg_backend_pid()"
    )


def _seconds(statement: str) -> float:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT greatest(coalesce(extract(epoch FROM ({statement})), 0), 0)::float8")
        return float(cursor.fetchone()[0])
