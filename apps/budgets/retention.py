"""Months of reservations, spend events and ledger entries that are old enough leave, oldest first.

A month is archived in one transaction: what its entries amount to, by period. From that commit on nobody reads what was
booked before its end, so its partitions may go one by one, any time, by whoever comes next; and a run that is killed
leaves books that are right. Reservations leave with the entries of their month; those of the month's last minutes that
were settled in the next one leave entries that name a reservation which is gone, and ledger_verify knows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date

from django.db import connection

from apps.budgets.models import Budget, Period, Reservation, ReservationState, SettleQuarantine
from apps.budgets.retention_archiving import archive
from apps.budgets.verifying import verify
from apps.ledger import retention as ledger
from apps.ledger import retention_partitions as partitions
from apps.ledger.retention import Sums
from spendra.kernel.clock import database_now
from spendra.kernel.errors import Busy, Conflict, Invalid
from spendra.kernel.ids import uuid7_floor

# What may still be corrected, seeded or rebuilt is younger; and partitions of last month are always made.
LEAST_MONTHS = 3
_RESERVATIONS = "budgets_reservation"


@dataclass(frozen=True, slots=True)
class Month:
    """`state` is dropped, archived (its partitions still have to go), due (a dry run) or kept; `why` says why not
    dropped."""

    month: date
    state: str
    why: str = ""
    sums: Sums | None = None


def apply(*, months: int, acting: str, is_dry_run: bool = False) -> list[Month]:
    """Drops what is older than the running month and the `months` before it, oldest first, up to the first that must
    be kept or has to wait; goes on with what an earlier run has left.

    Raises Invalid below LEAST_MONTHS, Conflict where another run goes on. Transactions of its own; gives up a lock wait
    after seconds and leaves the rest to the next run. Takes no lock that reserve or settle wait for.
    """
    if months < LEAST_MONTHS:
        raise Invalid(f"At least {LEAST_MONTHS} months are kept.", param="months")
    with partitions.alone() as session:
        return list(_until_put_off(_apply(session, _oldest_kept(months), acting, is_dry_run)))


def warnings(budget: Budget) -> list[str]:
    """What a budget could not count when it was made, since months of its window had been archived."""
    period = Period.objects.filter(budget_id=budget.id).order_by("-id").first()
    since = ledger.kept_since_as_of(budget.created_at)
    if period is None or since is None or budget.counts_from_now:
        return []
    is_cut = max(period.starts_at, budget.organization.created_at) < since
    return [f"Warning: what was spent before {since:%Y-%m-%d} is archived and does not count."] if is_cut else []


def _until_put_off(done: Iterator[Month]) -> Iterator[Month]:
    """Postgres detaches one partition of a table at a time: behind one that waits for its readers, the others fail."""
    for month in done:
        yield month
        if month.state == "archived":
            return


def _apply(session: partitions.Session, oldest: date, acting: str, is_dry_run: bool) -> Iterator[Month]:
    for month, sums in ledger.archived().items():
        if any(partitions.is_there(table, month) for table in (*ledger.TABLES, _RESERVATIONS)):
            yield Month(month, "due", "", sums) if is_dry_run else _drop(session, month, sums, acting)
    for month in (month for month in ledger.kept_months() if month < oldest):
        if why := _why_kept(month, is_dry_run):
            yield Month(month, "kept", why)
            return
        yield Month(month, "due") if is_dry_run else _drop(session, month, archive(month, acting=acting), acting)


def _oldest_kept(months: int) -> date:
    today = database_now().astimezone(UTC).date()
    before = today.year * 12 + today.month - 1 - months
    return date(before // 12, before % 12 + 1, 1)


def _why_kept(month: date, is_dry_run: bool) -> str:
    until = ledger.starts_at(ledger.following(month))
    if open := Reservation.objects.filter(state=ReservationState.OPEN, id__lt=uuid7_floor(until)).count():
        return f"{open} of its reservations are open"
    if waiting := SettleQuarantine.objects.filter(resolved_at=None, reservation_id__lt=uuid7_floor(until)).count():
        return f"{waiting} endings of its reservations are in quarantine"
    if ledger.is_undelivered(month):
        return "facts about its entries are not delivered"
    if not is_dry_run and any(verify()):
        return "ledger_verify finds differences"
    return ""


def _drop(session: partitions.Session, month: date, sums: Sums, acting: str) -> Month:
    def prove(partition: str) -> None:
        if partition == partitions.name_of("ledger_ledgerentry", month):
            _prove_archived(partition, sums)

    try:
        for table in (*ledger.TABLES, _RESERVATIONS):
            if partitions.is_there(table, month):
                partitions.drop(session, table, month, acting=acting, prove=prove)
    except Busy as error:
        return Month(month, "archived", error.message, sums)
    return Month(month, "dropped", "", sums)


def _prove_archived(partition: str, sums: Sums) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*), coalesce(sum(amount_nanos), 0) FROM {partition}")
        entries, nanos = cursor.fetchone()
    if (entries, nanos) != (sums.entries, sums.nanos):
        raise Conflict(f"{partition} has {entries} entries, and {sums.entries} are archived: it stays, detached.")
