"""What was spent. Sums come from the rollups, each by one range of a primary key; entries only where all are wanted.

A scope is an organization's id or a unit's; one of another organization has spent nothing here.
"""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet, Sum

from apps.ledger.models import DayRollup, EntryStatus, HourRollup, KeyRollup, LedgerEntry, PeriodRollup
from apps.ledger.types import Spent, SpentByKey, SpentInHour, SpentOnDay, SpentOnModel
from apps.orgs.models import Organization

_PAGE = 2000
_SUMS = {
    "nanos": Sum("amount_nanos"),
    "estimated": Sum("amount_nanos", filter=Q(status=EntryStatus.ESTIMATED), default=0),
    "used": Sum("tokens"),
    "asked": Sum("requests"),
}


def every_entry(organization: Organization) -> Iterator[LedgerEntry]:
    """All entries, oldest first, in constant memory. What is booked meanwhile may or may not come."""
    entries = LedgerEntry.objects.filter(organization_id=organization.id).order_by("booked_at", "id")
    page = list(entries[:_PAGE])
    while page:
        yield from page
        last = page[-1]
        after = entries.filter(booked_at__gte=last.booked_at).filter(
            Q(booked_at__gt=last.booked_at) | Q(id__gt=last.id)
        )
        page = list(after[:_PAGE]) if len(page) == _PAGE else []


def spent_by_hour(organization: Organization, *, scope_id: UUID, since: datetime, until: datetime) -> list[SpentInHour]:
    """Hours in UTC that begin in [since, until); those without spend are left out."""
    hours = HourRollup.objects.filter(
        organization_id=organization.id, scope_id=scope_id, hour__gte=since, hour__lt=until
    )
    return [SpentInHour(row["hour"], _spent(row)) for row in _summed(hours, "hour").order_by("hour")]


def spent_by_day(organization: Organization, *, scope_id: UUID, since: date, until: date) -> list[SpentOnDay]:
    """The organization's own dates, both inclusive; those without spend are left out."""
    days = _days(organization, scope_id, since, until)
    return [SpentOnDay(row["day"], _spent(row)) for row in _summed(days, "day").order_by("day")]


def top_models(
    organization: Organization, *, scope_id: UUID, since: date, until: date, limit: int = 100
) -> list[SpentOnModel]:
    """On which models a scope spent most on these dates."""
    return _by_model(_days(organization, scope_id, since, until), limit)


def top_keys(
    organization: Organization, *, scope_id: UUID, since: date, until: date, limit: int = 100
) -> list[SpentByKey]:
    """Which keys spent most within a scope on these dates, as it was made up when they spent."""
    keys = KeyRollup.objects.filter(organization_id=organization.id, scope_id=scope_id, day__gte=since, day__lte=until)
    return _by_key(keys, limit)


def models_of_key(
    organization: Organization, key_id: str, *, actor_id: UUID, since: date, until: date, limit: int = 100
) -> list[SpentOnModel]:
    """On which models a key of this actor spent most on these dates."""
    return _by_model(_days(organization, actor_id, since, until).filter(key_id=key_id), limit)


def models_of_period(organization: Organization, period_id: int, *, limit: int = 100) -> list[SpentOnModel]:
    """On which models the period of a budget was spent."""
    return _by_model(_period(organization, period_id), limit)


def keys_of_period(organization: Organization, period_id: int, *, limit: int = 100) -> list[SpentByKey]:
    """Which keys spent the period of a budget."""
    return _by_key(_period(organization, period_id), limit)


def _days(organization: Organization, scope_id: UUID, since: date, until: date) -> "QuerySet[DayRollup]":
    return DayRollup.objects.filter(organization_id=organization.id, scope_id=scope_id, day__gte=since, day__lte=until)


def _period(organization: Organization, period_id: int) -> "QuerySet[PeriodRollup]":
    return PeriodRollup.objects.filter(organization_id=organization.id, period_id=period_id)


def _by_model(rows: "QuerySet[Any]", limit: int) -> list[SpentOnModel]:
    found = _summed(rows, "provider", "model").order_by("-nanos", "provider", "model")[:limit]
    return [SpentOnModel(row["provider"], row["model"], _spent(row)) for row in found]


def _by_key(rows: "QuerySet[Any]", limit: int) -> list[SpentByKey]:
    found = _summed(rows, "key_id").order_by("-nanos", "key_id")[:limit]
    return [SpentByKey(row["key_id"], _spent(row)) for row in found]


def _summed(rows: "QuerySet[Any]", *by: str) -> "QuerySet[Any, dict[str, Any]]":
    summed: QuerySet[Any, dict[str, Any]] = rows.values(*by).annotate(**_SUMS)
    return summed


def _spent(row: dict[str, Any]) -> Spent:
    # Postgres sums bigint as numeric, which arrives as Decimal.
    return Spent(int(row["nanos"]), int(row["estimated"]), int(row["used"]), int(row["asked"]))
