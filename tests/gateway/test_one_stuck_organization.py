"""A period that somebody has locked stops its own organization, and no other."""

import threading
import time

from tests.databases import Database
from tests.gateway.company import Company, make_company
from tests.gateway.running import RunningGateway


def test_others_are_booked_while_one_organizations_period_is_locked(
    gateway: RunningGateway, shared_database: Database, company: Company
) -> None:
    others = [make_company(gateway.url) for _ in range(4)]  # on both lanes
    for one in (company, *others):
        one.cap(10**12)
        assert one.chat().status_code == 200
        one.wait_for_ends(1)
    with shared_database.connect(autocommit=False) as holder:
        holder.execute("SELECT id FROM budgets_period WHERE organization_id = %s FOR UPDATE", [company.organization.id])
        assert company.chat().status_code == 503, "its own reserve can't pass"
        for one in others:
            assert one.chat().status_code == 200
            one.wait_for_ends(2, seconds=5)
        holder.rollback()
    assert company.chat().status_code == 200


def test_a_request_that_meets_a_lock_waits_until_it_is_let_go(
    gateway: RunningGateway, shared_database: Database, company: Company
) -> None:
    """A commit that waits for a slow disk holds its periods, too."""
    company.cap(10**12)
    assert company.chat().status_code == 200
    company.wait_for_ends(1)
    statuses: list[int] = []
    callers = [threading.Thread(target=lambda: statuses.append(company.chat().status_code)) for _ in range(8)]
    with shared_database.connect(autocommit=False) as holder:
        holder.execute("SELECT id FROM budgets_period WHERE organization_id = %s FOR UPDATE", [company.organization.id])
        for caller in callers:
            caller.start()
        time.sleep(0.7)  # more than two waits for a lock (budgets/connecting.py)
        assert statuses == []
        holder.rollback()
    for caller in callers:
        caller.join()
    assert statuses == [200] * 8
    company.wait_for_ends(9)


def test_an_ending_behind_a_lock_waits_alone_and_lands_later(
    gateway: RunningGateway, shared_database: Database, company: Company
) -> None:
    others = [make_company(gateway.url) for _ in range(4)]
    for one in (company, *others):
        one.cap(10**12)
        assert one.chat().status_code == 200
        one.wait_for_ends(1)
    with shared_database.connect(autocommit=False) as holder:
        answered = threading.Thread(target=lambda: company.chat(sandbox="delay=1"))
        answered.start()
        company.wait_for_open()
        holder.execute("SELECT id FROM budgets_period WHERE organization_id = %s FOR UPDATE", [company.organization.id])
        answered.join()
        for one in others:
            assert one.chat().status_code == 200
            one.wait_for_ends(2, seconds=5)
        assert company.reservations()[-1].state == "open"
        holder.rollback()
    company.wait_for_ends(2)
    assert [entry.status for entry in company.entries()] == ["final", "final"]
