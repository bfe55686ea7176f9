from collections.abc import Sequence
from typing import cast
from uuid import UUID

import orjson
from django.db import connection

from apps.budgets.models import Budget, BudgetOverride, Period, Reservation, ReservationState
from apps.budgets.types import PeriodState
from apps.orgs.models import Organization
from spendra.kernel.clock import database_now
from spendra.kernel.errors import NotFound


def find_budget(organization: Organization, budget_id: UUID) -> Budget:
    """NotFound where it is not the organization's."""
    budget = Budget.objects.select_related("unit").filter(id=budget_id, organization=organization).first()
    if budget is None:
        raise NotFound(f"There is no budget {budget_id} in {organization}.")
    return budget


def budgets_of(organization: Organization) -> list[Budget]:
    """Those in force, the widest scope first."""
    budgets = Budget.objects.filter(organization=organization, archived_at=None).select_related("unit")
    return list(budgets.order_by("unit__kind", "unit__name", "measure", "period_kind", "hardness", "id"))


def overrides_of(organization: Organization) -> list[BudgetOverride]:
    """Newest first, those that are over as well."""
    return list(BudgetOverride.objects.filter(organization=organization).select_related("budget__unit"))


def remaining(organization: Organization, period_ids: Sequence[int]) -> list[PeriodState]:
    """Of each period in the order asked: the cap in force, what is spent and held, what is left. One snapshot, no lock.

    NotFound where one is not there, or is another organization's.
    """
    own = set(Period.objects.filter(id__in=period_ids, organization_id=organization.id).values_list("id", flat=True))
    states = states_of(period_ids)
    for period_id, state in zip(period_ids, states, strict=True):
        if period_id not in own or state is None:
            raise NotFound(f"There is no period {period_id} in {organization}.")
    return cast("list[PeriodState]", states)


def running_periods(organization: Organization, budget_ids: Sequence[UUID]) -> list[PeriodState]:
    """What is left of those budgets now: one state a period that runs, each-budgets having one a unit that used it."""
    now = database_now()
    periods = Period.objects.filter(
        organization_id=organization.id, budget_id__in=budget_ids, starts_at__lte=now, ends_at__gt=now
    )
    found = list(periods.order_by("budget_id", "id").values_list("id", flat=True))
    return [state for state in states_of(found) if state is not None]


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


def states_of(period_ids: Sequence[int]) -> list[PeriodState | None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT budgets_state_v1(%s::bigint[])::text", [list(period_ids)])
        return cast("list[PeriodState | None]", orjson.loads(cursor.fetchone()[0]))
