"""Periods opened and filled ahead of the requests that need them; gateways do the same on first use."""

import logging
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from django.db import DatabaseError, connection, transaction

from apps.budgets.models import Budget, Period, PeriodKind
from apps.budgets.periods import lock_rank, window
from apps.budgets.retrying import again
from apps.budgets.types import OpenPeriod, PeriodKey
from apps.orgs.models import Unit
from spendra.kernel.clock import database_now

log = logging.getLogger(__name__)

AHEAD = timedelta(hours=1)
_BATCH = 500
# A fixed range has no next one. Minutes and hours are opened by those who use them: a round trip, seldom two.
_NOT_AHEAD = (PeriodKind.FIXED, PeriodKind.MINUTE, PeriodKind.HOUR)


def open_current(budget_id: UUID) -> Period | None:
    """The period of a budget that runs now, opened and filled with what was spent in it before the budget existed.

    None for an each-budget, whose periods open on first use, and for a fixed range that is not running. To be called
    after the commit of the budget: only then is every request in its scope decided with it.
    """
    budget = Budget.objects.select_related("organization", "unit").get(id=budget_id)
    now = database_now()
    if budget.applies_to_each or not _is_running(budget, now):
        return None
    [opened] = open_periods([period_key(budget, at=now)])
    if opened["id"] is None:
        return None
    if opened["is_seeding"]:
        seed(opened["id"])
    return Period.objects.get(id=opened["id"])


def seed_waiting() -> int:
    """Fills every period that waits for its history, oldest first; returns how many this call opened.

    One that can't be filled is logged and left to the next call: it must not keep the others from their requests.
    """
    waiting = Period.objects.filter(is_seeding=True).order_by("id").values_list("id", flat=True)
    return sum(map(_seed_or_log, waiting))


def open_ahead() -> int:
    """Opens the windows that follow those which end within the hour, so that no request at midnight waits for it."""
    now = database_now()
    ending = (
        Period.objects.filter(ends_at__gt=now, ends_at__lte=now + AHEAD, budget__archived_at=None)
        .exclude(budget__period_kind__in=_NOT_AHEAD)
        .select_related("budget__organization", "budget__unit", "unit")
        .order_by("budget_id", "unit_id", "id")
    )
    keys = [period_key(period.budget, at=period.ends_at, each=period.unit) for period in ending.iterator(_BATCH)]
    for first in range(0, len(keys), _BATCH):
        open_periods(keys[first : first + _BATCH])
    return len(keys)


def period_key(budget: Budget, *, at: datetime, each: Unit | None = None) -> PeriodKey:
    """The window of a budget that holds `at`; `each` is the unit that an each-budget is for."""
    organization, scope = budget.organization, each or budget.unit
    span = window(
        period_kind=budget.period_kind,
        at=at,
        zone=ZoneInfo(organization.time_zone),
        week_starts_on=organization.week_starts_on,
        fiscal_year_starts_month=organization.fiscal_year_starts_month,
        fixed_starts_at=budget.fixed_starts_at,
        fixed_ends_at=budget.fixed_ends_at,
    )
    return PeriodKey(
        budget_id=str(budget.id),
        unit_id=str(each.id) if each else None,
        organization_id=str(organization.id),
        label=span.label,
        starts_at=span.starts_at.isoformat(),
        ends_at=span.ends_at.isoformat(),
        lock_rank=lock_rank(scope.kind if scope else None),
        wanted_at=at.isoformat(),
    )


def open_periods(keys: list[PeriodKey]) -> list[OpenPeriod]:
    """In the order asked. A transaction of its own: whoever opens holds no other lock."""
    asked = orjson.dumps([asdict(key) for key in keys]).decode()
    return cast("list[OpenPeriod]", again(partial(_value, "SELECT budgets_open_periods_v2(%s::jsonb)::text", asked)))


def seed(period_id: int) -> bool:
    """Fills one period; false where somebody else has. Locks open reservations of its scope, then the period."""
    return bool(again(partial(_value, "SELECT budgets_seed_v2(%s)::text", period_id)))


def _seed_or_log(period_id: int) -> bool:
    try:
        return seed(period_id)
    except DatabaseError:
        log.exception("period %s can't be seeded", period_id)
        return False


def _value(statement: str, parameter: str | int) -> Any:
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '2s'")
        cursor.execute(statement, [parameter])
        return orjson.loads(cursor.fetchone()[0])


def _is_running(budget: Budget, now: datetime) -> bool:
    if budget.fixed_starts_at is None or budget.fixed_ends_at is None:
        return True
    return budget.fixed_starts_at <= now < budget.fixed_ends_at
