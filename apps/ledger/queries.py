"""Reads of the ledger: by page, each page a short statement, so that no reader holds a snapshot for long."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.ledger.models import LedgerEntry
from apps.orgs.models import Organization

_PAGE = 2000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended; entries of one instant are told apart by id."""

    booked_at: datetime
    id: UUID


def entries_before(organization: Organization, *, place: Place | None = None, limit: int = 100) -> list[LedgerEntry]:
    """A page of entries, newest first."""
    entries = _entries(organization)
    if place is not None:
        # The first condition is implied by the second, and is the one that an index can use.
        entries = entries.filter(booked_at__lte=place.booked_at).filter(
            Q(booked_at__lt=place.booked_at) | Q(id__lt=place.id)
        )
    return list(entries.order_by("-booked_at", "-id")[:limit])


def every_entry(organization: Organization) -> Iterator[LedgerEntry]:
    """All entries, oldest first, in constant memory. What is booked meanwhile may or may not come."""
    entries = _entries(organization).order_by("booked_at", "id")
    page = list(entries[:_PAGE])
    while page:
        yield from page
        last = page[-1]
        after = entries.filter(booked_at__gte=last.booked_at).filter(
            Q(booked_at__gt=last.booked_at) | Q(id__gt=last.id)
        )
        page = list(after[:_PAGE]) if len(page) == _PAGE else []


def _entries(organization: Organization) -> "QuerySet[LedgerEntry]":
    return LedgerEntry.objects.filter(organization_id=organization.id)
