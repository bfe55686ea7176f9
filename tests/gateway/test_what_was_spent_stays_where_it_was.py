"""Units move and are archived; what was spent, and what runs, stays with the scopes of its day."""

import threading
import time

import pytest

from apps.budgets.models import Budget
from apps.budgets.queries import running_periods
from apps.orgs.models import Unit
from apps.orgs.units import archive, move
from tests.gateway.company import Company
from tests.gateway.governing import USD, error_of
from tests.orgs.building import make_unit


@pytest.fixture
def old(company: Company) -> Unit:
    team = make_unit(company.organization, "Old", kind="team")
    put(company, team)
    return team


def put(company: Company, team: Unit) -> None:
    move(company.actor, organization=company.organization, parents=[team], acting="test")


def counted(company: Company, budget: Budget) -> tuple[int, int]:
    [state] = running_periods(company.organization, [budget.id])
    return state["settled"], state["reserved"]


def slowly(company: Company) -> threading.Thread:
    """A request that is at its provider now, and for two seconds more."""
    running = threading.Thread(target=lambda: company.chat(sandbox="delay=2"))
    running.start()
    while not any(one.state == "open" for one in company.reservations()):
        time.sleep(0.02)
    return running


def test_an_entry_names_the_scopes_of_its_day_after_its_actor_has_moved(company: Company, old: Unit) -> None:
    new = make_unit(company.organization, "New", kind="team")
    before = company.cap(USD, unit=old)
    company.chat()
    company.wait_for_ends(1)
    put(company, new)
    after = company.cap(USD, unit=new)
    company.chat()
    company.wait_for_ends(2)
    first, second = company.entries()
    assert (old.id in first.scope_ids, new.id in first.scope_ids) == (True, False)
    assert (old.id in second.scope_ids, new.id in second.scope_ids) == (False, True)
    assert counted(company, before) == (first.amount_nanos, 0)
    assert counted(company, after) == (second.amount_nanos, 0)


def test_what_runs_while_its_actor_moves_is_booked_where_it_was_reserved(company: Company, old: Unit) -> None:
    new = make_unit(company.organization, "New", kind="team")
    budgets = [company.cap(USD, unit=unit) for unit in (old, new)]
    running = slowly(company)
    put(company, new)
    running.join()
    company.wait_for_ends(1)
    [entry] = company.entries()
    assert old.id in entry.scope_ids
    assert [counted(company, budget) for budget in budgets] == [(entry.amount_nanos, 0), (0, 0)]


def test_what_runs_while_its_unit_is_archived_is_booked_and_nothing_more_is_admitted(
    company: Company, old: Unit
) -> None:
    budget = company.cap(USD, unit=old)
    running = slowly(company)
    archive(company.actor, organization=company.organization, acting="test")
    assert error_of(company.chat())["code"] == "key_rejected"
    running.join()
    company.wait_for_ends(1)
    [entry] = company.entries()
    assert (entry.status, counted(company, budget)) == ("final", (entry.amount_nanos, 0))
