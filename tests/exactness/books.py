"""What was booked, compared with what the provider charged and with every cap."""

import time
from collections.abc import Sequence

import httpx
from django.db import connection
from django.db.models import Sum

from apps.budgets.models import Budget, Period
from apps.budgets.verifying import verify
from apps.ledger.models import LedgerEntry
from apps.orgs.models import Organization
from tests.exactness.load import Caller, granted

OPEN = "SELECT count(*) FROM budgets_reservation WHERE state = 'open' AND organization_id = %s"


def above_a_cap(organization: Organization) -> str:
    """A question for a watcher: which hard caps of the organization are passed at this moment."""
    return f"""
        SELECT p.id, p.settled, p.reserved, b.amount FROM budgets_period p JOIN budgets_budget b ON b.id = p.budget_id
        WHERE b.hardness = 'hard' AND p.settled + p.reserved > b.amount AND p.organization_id = '{organization.id}'
    """


def booked(organization: Organization) -> int:
    entries = LedgerEntry.objects.filter(organization_id=organization.id)
    return int(entries.aggregate(sum=Sum("amount_nanos"))["sum"] or 0)


def wait_until_settled(organization: Organization, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while open_reservations(organization):
        assert time.monotonic() < deadline, f"{open_reservations(organization)} reservations are still open"
        time.sleep(0.02)


def open_reservations(organization: Organization) -> int:
    with connection.cursor() as cursor:
        cursor.execute(OPEN, [organization.id])
        return int(cursor.fetchone()[0])


def check_books(organization: Organization, sandbox_url: str, callers: Sequence[Caller]) -> None:
    """Once all has settled: the books agree with themselves and, to the nano, with the provider."""
    wait_until_settled(organization)
    assert list(verify()) == []
    entries = LedgerEntry.objects.filter(organization_id=organization.id)
    assert not entries.exclude(status="final", kind="charge").exists()
    answers = {answer.completion_id for answer in granted(callers)}
    charged = charges_of(sandbox_url, answers)
    assert len(charged) == len(answers) == entries.count()
    assert booked(organization) == sum(charged)


def check_caps(organization: Organization) -> None:
    """To be asked where no cap was lowered below what stood against it."""
    for budget in Budget.objects.filter(organization=organization, hardness="hard"):
        for period in Period.objects.filter(budget=budget):
            assert period.reserved == 0
            assert period.settled <= budget.amount


def charges_of(sandbox_url: str, completion_ids: set[str]) -> list[int]:
    charges = httpx.get(f"{sandbox_url}/charges", timeout=30).json()["by_request"].values()
    return [int(one["charged_nanos"]) for one in charges if one["completion_id"] in completion_ids]
