from collections.abc import Iterator

from django.db.models import Q

from apps.ledger.models import LedgerEntry
from apps.orgs.models import Organization

_PAGE = 2000


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
