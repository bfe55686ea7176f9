"""Month partitions, made ahead: without one every reserve and settle of that month would fail. And what piles up: the
notes of which rules moved."""

import re
from datetime import UTC, datetime
from functools import partial

from django.db import connection, transaction

from apps.budgets.retrying import again
from spendra.kernel.clock import database_now

_MAKERS = ("ledger_ensure_partitions_v1", "budgets_ensure_partitions_v1")
_TABLES = ("ledger_spendevent", "ledger_ledgerentry", "budgets_reservation")
_ONE_AT_A_TIME = 23487645623906914
# Gateways that are further behind load their rules whole.
_CHANGES_KEPT_HOURS = 1
_MONTH = re.compile(r"_(\d{4})_(\d{2})$")


def ensure_partitions() -> int:
    """Makes what is missing of the next twelve months; returns how many partitions that were.

    Each table in a short transaction of its own that gives up a lock wait after a second and tries again; callers take
    turns. Raises OperationalError where a lock stays taken.
    """
    return sum(again(partial(_make, maker)) for maker in _MAKERS)


def partitions_ahead() -> int:
    """For how many months after this one every table has its partition: readiness turns red below two."""
    return min(_months_ahead(table, database_now()) for table in _TABLES)


def prune_changes() -> int:
    """Drops the notes of rules that moved more than an hour ago; returns how many. Nobody waits for it.

    Always the first ones by number: a clock that was set back must not make a gap, which gateways would take for a
    reason to load whole.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM budgets_governancechange WHERE seq < coalesce("
            "(SELECT min(seq) FROM budgets_governancechange"
            " WHERE changed_at >= spendra_now_v1() - make_interval(hours => %s)), %s)",
            [_CHANGES_KEPT_HOURS, 2**63 - 1],
        )
        return int(cursor.rowcount)


def _make(maker: str) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '1s'")
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ONE_AT_A_TIME])
        cursor.execute(f"SELECT {maker}()")
        return int(cursor.fetchone()[0])


def _months_ahead(table: str, now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [table])
        found = {_month_number(name) for (name,) in cursor.fetchall()}
    this_month = now.astimezone(UTC).year * 12 + now.astimezone(UTC).month
    ahead = 0
    while this_month + ahead + 1 in found:
        ahead += 1
    return ahead if this_month in found else -1


def _month_number(partition: str) -> int:
    match = _MONTH.search(partition)
    return int(match[1]) * 12 + int(match[2]) if match else 0
