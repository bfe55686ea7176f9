"""What was spent. Sums come from the rollups, each by one range of a primary key; entries only where all are wanted.

A scope is an organization's id or a unit's; one of another organization has spent nothing here.
"""

from collections.abc import Collection, Iterator
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet, Sum

from apps.ledger.models import DayRollup, EntryStatus, HourRollup, KeyRollup, LedgerEntry, PeriodRollup
from apps.ledger.types import (
    Spent,
    SpentByKey,
    SpentInHour,
    SpentInStatus,
    SpentInUnit,
    SpentOnDay,
    SpentOnModel,
    SpentOnProvider,
)  # fmt: skip
from apps.orgs.models import Organization

_PAGE = 2000
_SUMS = {
    "nanos": Sum("amount_nanos", default=0),
    "estimated": Sum("amount_nanos", filter=Q(status=EntryStatus.ESTIMATED), default=0),
    "used": Sum("tokens", default=0),
    "asked": Sum("requests", default=0),
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
    organization: Organization, *, scope_id: UUID, since: date, until: date, limit: int | None = 100
) -> list[SpentOnModel]:
    """On which models a scope spent most on these dates."""
    return _by_model(_days(organization, scope_id, since, until), limit)


def top_keys(
    organization: Organization, *, scope_id: UUID, since: date, until: date, limit: int | None = 100
) -> list[SpentByKey]:
    """Which keys spent most within a scope on these dates, as it was made up when they spent."""
    keys = KeyRollup.objects.filter(organization_id=organization.id, scope_id=scope_id, day__gte=since, day__lte=until)
    return _by_key(keys, limit)


def models_of_key(
    organization: Organization, key_id: str, *, actor_id: UUID, since: date, until: date, limit: int | None = 100
) -> list[SpentOnModel]:
    """On which models a key of this actor spent most on these dates."""
    return _by_model(_days(organization, actor_id, since, until).filter(key_id=key_id), limit)


def spent(organization: Organization, *, scope_id: UUID, since: date, until: date) -> Spent:
    """All that a scope spent on these dates, both inclusive."""
    return _spent(_days(organization, scope_id, since, until).aggregate(**_SUMS))


def spent_by_provider(organization: Organization, *, scope_id: UUID, since: date, until: date) -> list[SpentOnProvider]:
    rows = _summed(_days(organization, scope_id, since, until), "provider").order_by("-nanos", "provider")
    return [SpentOnProvider(row["provider"], _spent(row)) for row in rows]


def spent_by_status(organization: Organization, *, scope_id: UUID, since: date, until: date) -> list[SpentInStatus]:
    """A correction is `final`: it takes back there what an estimate was too high."""
    rows = _summed(_days(organization, scope_id, since, until), "status").order_by("-nanos", "status")
    return [SpentInStatus(row["status"], _spent(row)) for row in rows]


def spent_by_unit(
    organization: Organization, *, unit_ids: Collection[UUID], since: date, until: date
) -> list[SpentInUnit]:
    """What each of these units spent on these dates, all below it included: the sums of a team and of its people
    overlap."""
    days = DayRollup.objects.filter(
        organization_id=organization.id, scope_id__in=unit_ids, day__gte=since, day__lte=until
    )
    return [
        SpentInUnit(row["scope_id"], _spent(row)) for row in _summed(days, "scope_id").order_by("-nanos", "scope_id")
    ]


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


def _by_model(rows: "QuerySet[Any]", limit: int | None) -> list[SpentOnModel]:
    found = _summed(rows, "provider", "model").order_by("-nanos", "provider", "model")[:limit]
    return [SpentOnModel(row["provider"], row["model"], _spent(row)) for row in found]


def _by_key(rows: "QuerySet[Any]", limit: int | None) -> list[SpentByKey]:
    found = _summed(rows, "key_id").order_by("-nanos", "key_id")[:limit]
    return [SpentByKey(row["key_id"], _spent(row)) for row in found]


def _summed(rows: "QuerySet[Any]", *by: str) -> "QuerySet[Any, dict[str, Any]]":
    summed: QuerySet[Any, dict[str, Any]] = rows.values(*by).annotate(**_SUMS)
    return summed


def _spent(row: dict[str, Any]) -> Spent:
    # Postgres sums bigint as numeric, which arrives as Decimal.
    return Spent(int(row["nanos"]), int(row["estimated"]), int(row["used"]), int(row["asked"]))
