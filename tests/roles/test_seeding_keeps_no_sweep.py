"""A new cap on a big ledger takes minutes to count what was spent before: what a dead gateway left open is ended
meanwhile."""

import contextlib
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from apps.budgets.models import Reservation
from apps.orgs.models import Organization
from tests.budgets import money
from tests.databases import Database
from tests.roles.commands import eventually, role

KINDS = ("day", "week", "month", "year")
# Each of them is waited for so long, three times over, before the next one's turn.
LOCK_SECONDS = 2


@contextlib.contextmanager
def seeding_for_long(database: Database, acme: Organization) -> Iterator[None]:
    connection = database.connect()
    Organization.objects.update(created_at=money.now_of(connection) - timedelta(days=2))
    budgets = [money.make_budget(acme, 1000, counts_from_now=False, period_kind=kind) for kind in KINDS]
    periods = [money.open_period(connection, budget) for budget in budgets]
    holder = database.connect(autocommit=False)
    locked = holder.execute(
        "SELECT FROM budgets_period WHERE id = ANY (%s) AND is_seeding FOR NO KEY UPDATE", [periods]
    )
    assert locked.rowcount == len(KINDS)
    try:
        yield
    finally:
        holder.rollback()


def waits(watcher: psycopg.Connection[Any]) -> bool:
    statement = (
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
        "AND position('budgets_seed_v' IN query) > 0"
    )
    return watcher.execute(statement).rowcount > 0


def test_a_reservation_that_nobody_will_end_is_ended_while_periods_are_filled(
    database: Database, tmp_path: Path
) -> None:
    acme, connection = money.make_organization(), database.connect()
    money.beat(connection)
    period = money.open_period(connection, money.make_budget(acme, 1000))
    with seeding_for_long(database, acme), role(tmp_path, database.url, "worker", "--metrics-port", "0"):
        eventually(lambda: waits(connection))
        tokens = money.tokens_of(connection, acme)
        request = money.a_request(acme, tokens, [period], lifetime_seconds=0)
        assert money.verdict(connection, request) == "granted"
        begun = time.monotonic()
        eventually(lambda: Reservation.objects.filter(id=request["id"], state="expired").exists())
        assert time.monotonic() - begun < 2 * LOCK_SECONDS
        assert waits(connection)
