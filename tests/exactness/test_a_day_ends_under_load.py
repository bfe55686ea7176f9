"""Midnight comes while requests are open, in a zone that changes its clocks that night: each is booked into the day in
which it was reserved, and both days keep their caps."""

import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from apps.budgets.models import Period
from apps.orgs.units import create_unit
from spendra.kernel.days import first_instant
from tests.budgets import money
from tests.concurrency.callers import watched
from tests.databases import Database
from tests.exactness.books import above_a_cap, check_books, check_caps
from tests.exactness.load import Caller, run_while, statuses
from tests.gateway.company import make_company
from tests.gateway.conftest import Sandbox
from tests.gateway.running import RunningGateway

DAY = timedelta(days=1)
HAVANA = ZoneInfo("America/Havana")
BEFORE = timedelta(seconds=4)
AFTER = timedelta(seconds=2)
DAILY_REQUESTS = 60
OF_ANOTHER_DAY = """
    SELECT r.id FROM budgets_reservation r JOIN budgets_period p ON p.id = ANY (r.period_ids)
    WHERE r.reserved_at < p.starts_at OR r.reserved_at >= p.ends_at
"""
BOOKED_AFTER_MIDNIGHT = "SELECT count(*) FROM ledger_ledgerentry WHERE %s = ANY (period_ids) AND booked_at >= %s"


def next_change_of_clocks() -> date:
    """The next day there that has not 24 hours. Ahead of now, since entries of months gone by have no partition."""
    day = datetime.now(UTC).date() + timedelta(days=2)
    while first_instant(day + DAY, HAVANA) - first_instant(day, HAVANA) == timedelta(hours=24):
        day += DAY
    return day


def test_a_day_ends_with_requests_open(database: Database, sandbox: Sandbox, tmp_path: Path) -> None:
    day = next_change_of_clocks()
    midnight = first_instant(day, HAVANA)
    watcher = database.connect()
    money.set_clock(watcher, midnight - timedelta(minutes=1))
    with RunningGateway(database.url, sandbox.url, tmp_path / "gateway.log", processes=2) as gateway:
        company = make_company(gateway.url, time_zone="America/Havana")
        budget = company.cap(DAILY_REQUESTS, applies_to_each="agent", measure="requests", period_kind="day")
        company.cap(10**15, period_kind="month")
        slow_agent = create_unit(organization=company.organization, kind="agent", name="Slow", acting="test")
        slow = company.another_key(actor=slow_agent).key
        fast = [Caller(gateway.url, company.key, request) for request in ({}, {"stream": True}) for _ in range(8)]
        callers = [
            *fast,
            *(Caller(gateway.url, slow, sandbox="delay=0.6") for _ in range(2)),
            *(Caller(gateway.url, slow, {"stream": True}, sandbox="chunk-delay=0.05") for _ in range(2)),
        ]
        money.set_clock(watcher, midnight - BEFORE)
        is_over = threading.Event()
        threading.Timer((BEFORE + AFTER).total_seconds(), is_over.set).start()
        with watched(database, above_a_cap(company.organization)) as passed:
            run_while(callers, lambda: not is_over.is_set())
        check_books(company.organization, sandbox.url, callers)
        check_caps(company.organization)
    assert passed == []
    assert set(statuses(callers)) <= {200, 402, 429}
    assert watcher.execute(OF_ANOTHER_DAY).fetchall() == []
    yesterday, today = (Period.objects.filter(budget=budget, label=f"D{one}") for one in (day - DAY, day))
    assert yesterday.count() == today.count() == 2
    assert Period.objects.filter(budget=budget).count() == 4
    assert yesterday.get(unit=company.actor).settled == DAILY_REQUESTS, "nothing was left at midnight"
    assert today.get(unit=company.actor).settled > 0, "the new day has its own"
    (late,) = watcher.execute(BOOKED_AFTER_MIDNIGHT, [yesterday.get(unit=slow_agent).id, midnight]).fetchall()
    assert late[0] > 0, "nothing was open at midnight"
