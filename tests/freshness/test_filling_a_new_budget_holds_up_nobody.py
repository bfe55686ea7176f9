"""Counting the history of one organization's new budget may take long; others' rules change meanwhile."""

import threading
import time

from apps.budgets.models import Budget
from tests.databases import Database
from tests.freshness.doors import Doors
from tests.gateway.company import Company, make_company


def test_rules_of_others_are_loaded_while_a_budget_counts_its_history(
    company: Company, doors: Doors, shared_database: Database
) -> None:
    others = [make_company(company.gateway_url) for _ in range(5)]
    running = threading.Thread(target=lambda: company.chat(sandbox="delay=3"))
    running.start()
    while not (opened := [one for one in company.reservations() if one.state == "open"]):
        time.sleep(0.01)
    with shared_database.connect(autocommit=False) as stuck:
        # What counting has to take over is locked by somebody: so it waits.
        stuck.execute("SELECT FROM budgets_reservation WHERE id = %s FOR UPDATE", [opened[0].id])
        Budget.objects.create(organization=company.organization, period_kind="month", amount=10**15)
        counting = [threading.Thread(target=company.chat, kwargs={"url": door.url}) for door in doors.doors]
        for thread in counting:
            thread.start()
        time.sleep(0.3)
        began = time.monotonic()
        for other in others:
            doors.expect(200, other.key)
        assert time.monotonic() - began < 3
        assert all(thread.is_alive() for thread in counting), "nothing was counting"
    for thread in [running, *counting]:
        thread.join()
    doors.expect(200, company.key)
    doors.check(asked=6)
