"""A key bound to a project, of an actor with two parents: each scope of the set can refuse a request, and is booked."""

from dataclasses import dataclass

import pytest

from apps.budgets.queries import running_periods
from apps.orgs.models import Unit
from apps.orgs.units import move
from tests.gateway.company import Company
from tests.gateway.governing import USD, error_of, outcome
from tests.orgs.building import make_unit


@dataclass
class Bound:
    """The key of an agent of the teams Red and Blue, for the project Atlas of Labs. Blue belongs to Europe."""

    company: Company
    units: dict[str, Unit]
    key: str


@pytest.fixture
def bound(company: Company) -> Bound:
    own = company.organization
    europe, labs = (make_unit(own, name, kind="branch") for name in ("Europe", "Labs"))
    red, blue = (make_unit(own, name, kind="team", parents=above) for name, above in (("Red", []), ("Blue", [europe])))
    atlas = make_unit(own, "Atlas", kind="project", parents=[labs])
    move(company.actor, organization=own, parents=[red, blue], acting="test")
    units = {str(unit): unit for unit in (company.actor, red, blue, europe, atlas, labs)}
    return Bound(company, units, company.another_key(project=atlas).key)


@pytest.mark.parametrize(
    "scope",
    ["organization", "project Atlas", "branch Labs", "team Red", "team Blue", "branch Europe", "agent Ada's agent"],
)
def test_a_cap_on_any_scope_of_the_set_refuses_alone_and_is_named(bound: Bound, scope: str) -> None:
    own, unit = bound.company.organization, bound.units.get(scope)
    for other in bound.units.values():
        bound.company.cap(USD, unit=other, period_kind="month")
    cap = bound.company.cap(0, unit=unit)
    answer = bound.company.chat(key=bound.key)
    assert (answer.status_code, error_of(answer)["code"]) == (402, "budget_exceeded")
    said = error_of(answer)["spendra"]
    assert said["rule"] == str(cap.id)
    assert said["scope"] == (scope if unit else f"organization {own.slug}")
    assert said["scope_id"] == str(unit.id if unit else own.id)
    assert bound.company.reservations() == []


def test_an_entry_names_the_whole_set_and_counts_once_in_each(bound: Bound) -> None:
    budgets = [bound.company.cap(USD, unit=unit) for unit in (None, *bound.units.values())]
    assert outcome(bound.company.chat(key=bound.key)) == "200"
    bound.company.wait_for_ends(1)
    [entry] = bound.company.entries()
    assert len(entry.scope_ids) == len(set(entry.scope_ids))
    assert set(entry.scope_ids) == {bound.company.organization.id, *(unit.id for unit in bound.units.values())}
    [reservation] = bound.company.reservations()
    assert reservation.scope_ids == entry.scope_ids
    states = running_periods(bound.company.organization, [budget.id for budget in budgets])
    assert [(state["settled"], state["reserved"]) for state in states] == [(entry.amount_nanos, 0)] * len(budgets)


def test_a_key_of_the_same_actor_without_the_project_is_not_held_by_it(bound: Bound) -> None:
    for name in ("project Atlas", "branch Labs"):
        bound.company.cap(0, unit=bound.units[name])
    assert outcome(bound.company.chat()) == "200"
    bound.company.wait_for_ends(1)
    [entry] = bound.company.entries()
    outside = {bound.units["project Atlas"].id, bound.units["branch Labs"].id}
    assert set(entry.scope_ids) == {bound.company.organization.id, *(one.id for one in bound.units.values())} - outside


def test_a_project_above_the_actor_counts_the_request_once(company: Company) -> None:
    atlas = make_unit(company.organization, "Atlas", kind="project")
    move(company.actor, organization=company.organization, parents=[atlas], acting="test")
    budget = company.cap(USD, unit=atlas, measure="requests", period_kind="month")
    assert outcome(company.chat(key=company.another_key(project=atlas).key)) == "200"
    company.wait_for_ends(1)
    [entry] = company.entries()
    assert sorted(entry.scope_ids) == sorted({company.organization.id, company.actor.id, atlas.id})
    [state] = running_periods(company.organization, [budget.id])
    assert (state["settled"], state["reserved"]) == (1, 0)
