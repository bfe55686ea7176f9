"""Caps come, fall and rise while everybody spends; from the commit on nothing more is reserved than what fits."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle

from apps.budgets.capping import change_amount
from apps.budgets.models import Budget, Period
from apps.ledger.models import LedgerEntry
from apps.orgs.units import create_unit
from tests.concurrency.callers import meanwhile, watched
from tests.databases import Database
from tests.exactness.books import above_a_cap, booked, check_books, check_caps
from tests.exactness.load import Caller, run_while, statuses
from tests.gateway.company import Company
from tests.gateway.conftest import Sandbox

AT_ONCE = 24
PLENTY = 10**15


@contextmanager
def load(company: Company, urls: list[str]) -> Iterator[list[Caller]]:
    """Callers who ask and ask, until the block ends."""
    is_over = threading.Event()
    requests = cycle([{}, {"stream": True}])
    callers = [
        Caller(url, company.key, request)
        for url, request, _ in zip(cycle(urls), requests, range(AT_ONCE), strict=False)
    ]
    with meanwhile(lambda: run_while(callers, lambda: not is_over.is_set())):
        try:
            yield callers
        finally:
            is_over.set()


def wait_until(is_so: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def wait_for_refusals(callers: list[Caller], status: int = 402, *, more: int = AT_ONCE) -> None:
    """Until everybody had time to be refused once more."""
    before = statuses(callers)[status]
    wait_until(lambda: statuses(callers)[status] >= before + more)


def wait_for_entries(company: Company, *, more: int) -> None:
    before = entries(company)
    wait_until(lambda: entries(company) >= before + more)


def entries(company: Company) -> int:
    return LedgerEntry.objects.filter(organization_id=company.organization.id).count()


def counted(budget: Budget) -> int:
    """What stands against the cap, once its period has been filled."""
    wait_until(lambda: Period.objects.filter(budget=budget, is_seeding=False).exists())
    (period,) = Period.objects.filter(budget=budget)
    return period.settled + period.reserved


def test_a_cap_set_amid_traffic_counts_what_was_spent_and_what_is_under_way(
    company: Company, urls: list[str], sandbox: Sandbox
) -> None:
    with load(company, urls) as callers:
        wait_until(lambda: entries(company) >= 100)
        each = booked(company.organization) // 100
        cap = booked(company.organization) + 150 * each
        budget = company.cap(cap, period_kind="month")
        # What was reserved before the commit may stand above a cap that came too late for it, and nothing else may.
        ceiling = max(cap, counted(budget))
        wait_for_refusals(callers)
    assert set(statuses(callers)) <= {200, 402, 429}
    assert_settled_below(company, budget, ceiling, callers, sandbox)


def test_an_each_cap_set_amid_traffic_does_so_for_each_unit(
    company: Company, urls: list[str], sandbox: Sandbox
) -> None:
    organization = company.organization
    company.actor = create_unit(organization=organization, kind="employee", name="Eve", acting="test")
    company.issued = company.another_key()
    with load(company, urls) as callers:
        wait_until(lambda: entries(company) >= 50)
        budget = company.cap(300, applies_to_each="employee", measure="requests", period_kind="month")
        wait_for_refusals(callers)
    check_books(organization, sandbox.url, callers)
    check_caps(organization)
    (period,) = Period.objects.filter(budget=budget)
    assert period.seeded >= 50
    assert period.settled == entries(company) == 300


def test_a_cap_lowered_amid_traffic_lets_nothing_through_from_then_on(
    company: Company, urls: list[str], sandbox: Sandbox
) -> None:
    budget = company.cap(PLENTY)
    with load(company, urls) as callers:
        for _ in range(5):
            wait_for_entries(company, more=40)
            change_amount(budget, amount=booked(company.organization), acting="test")
            ceiling = counted(budget)
            wait_for_refusals(callers)
            assert counted(budget) <= ceiling
            change_amount(budget, amount=PLENTY, acting="test")
        change_amount(budget, amount=booked(company.organization), acting="test")
        ceiling = counted(budget)
        wait_for_refusals(callers)
    assert set(statuses(callers)) <= {200, 402, 429}
    assert_settled_below(company, budget, ceiling, callers, sandbox)


def test_a_cap_raised_step_by_step_is_used_up_and_never_passed(
    company: Company, urls: list[str], sandbox: Sandbox, shared_database: Database
) -> None:
    budget = company.cap(1, measure="requests")
    with watched(shared_database, above_a_cap(company.organization)) as passed, load(company, urls) as callers:
        for amount in range(20, 201, 20):
            change_amount(budget, amount=amount, acting="test")
            wait_for_refusals(callers)
            wait_until(lambda amount=amount: entries(company) == amount)
    assert passed == []
    assert statuses(callers)[200] == 200
    check_books(company.organization, sandbox.url, callers)
    check_caps(company.organization)


def assert_settled_below(
    company: Company, budget: Budget, ceiling: int, callers: list[Caller], sandbox: Sandbox
) -> None:
    check_books(company.organization, sandbox.url, callers)
    (period,) = Period.objects.filter(budget=budget)
    assert period.settled == booked(company.organization) <= ceiling
