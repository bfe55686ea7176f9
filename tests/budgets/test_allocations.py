"""Parts of a wider budget never come to more than it has, whoever changes what, and in whatever order."""

from datetime import UTC, datetime
from typing import Any

import pytest

from apps.budgets import allocating, capping
from apps.budgets.models import Budget
from apps.orgs.models import Organization, Unit, UnitEdge
from spendra.kernel.errors import Conflict, Invalid, NotFound
from tests.budgets import money

ANN = "ann@example.com"


@pytest.fixture
def team(acme: Organization) -> Unit:
    return money.make_unit(acme, "Research", "team")


def cap(organization: Organization, amount: int, unit: Unit | None = None, **fields: Any) -> Budget:
    given = {"period_kind": "month", **fields}
    return capping.set_cap(organization=organization, amount=amount, unit=unit, acting=ANN, **given)


def below(team: Unit, name: str) -> Unit:
    unit = money.make_unit(team.organization, name)
    UnitEdge.objects.create(organization=team.organization, parent=team, child=unit)
    return unit


def test_parts_are_allocated_until_nothing_is_left(acme: Organization, team: Unit) -> None:
    whole = cap(acme, 100)
    cap(acme, 60, team, allocated_from=whole)
    with pytest.raises(Conflict, match="less than") as refusal:
        cap(acme, 41, money.make_unit(acme, "Sales", "team"), allocated_from=whole)
    assert refusal.value.details == {"free": "40", "asked": "41", "allocated_from": str(whole.id)}
    cap(acme, 40, money.make_unit(acme, "Legal", "team"), allocated_from=whole)


def test_a_part_grows_only_into_what_is_free(acme: Organization, team: Unit) -> None:
    whole = cap(acme, 100)
    part = cap(acme, 60, team, allocated_from=whole)
    cap(acme, 30, money.make_unit(acme, "Sales", "team"), allocated_from=whole)
    with pytest.raises(Conflict, match="not allocated yet"):
        cap(acme, 71, team)
    assert cap(acme, 70, team).id == part.id
    assert cap(acme, 10, team).amount == 10


def test_a_whole_shrinks_only_to_what_is_allocated(acme: Organization, team: Unit) -> None:
    whole = cap(acme, 100)
    cap(acme, 60, team, allocated_from=whole)
    with pytest.raises(Conflict, match="allocated from this budget"):
        capping.change_amount(whole, amount=59, acting=ANN)
    assert capping.change_amount(whole, amount=60, acting=ANN).amount == 60


def test_an_archived_part_is_free_again_and_a_whole_is_archived_last(acme: Organization, team: Unit) -> None:
    whole = cap(acme, 100)
    part = cap(acme, 100, team, allocated_from=whole)
    with pytest.raises(Conflict, match="release or archive them first"):
        capping.archive_cap(whole.id, organization=acme, acting=ANN)
    capping.archive_cap(part.id, organization=acme, acting=ANN)
    cap(acme, 100, team, allocated_from=whole)


def test_a_part_of_a_part_is_below_it(acme: Organization, team: Unit) -> None:
    part = cap(acme, 60, team, allocated_from=cap(acme, 100))
    cap(acme, 60, below(team, "Ada"), allocated_from=part)
    with pytest.raises(Invalid, match="a scope above its own"):
        cap(acme, 0, money.make_unit(acme, "Bob"), allocated_from=part)


def test_an_existing_budget_is_allocated_and_released(acme: Organization, team: Unit) -> None:
    whole, part = cap(acme, 100), cap(acme, 200, team)
    with pytest.raises(Conflict):
        allocating.allocate(part, organization=acme, parent=whole, acting=ANN)
    cap(acme, 90, team)
    for _ in range(2):
        allocating.allocate(part, organization=acme, parent=whole, acting=ANN)
    with pytest.raises(Conflict):
        cap(acme, 200, team)
    allocating.release(part, organization=acme, acting=ANN)
    assert cap(acme, 200, team).allocated_from is None


def test_setting_a_budget_again_allocates_it_at_its_new_amount(acme: Organization, team: Unit) -> None:
    cap(acme, 500, team)
    whole = cap(acme, 100)
    with pytest.raises(Conflict):
        cap(acme, 101, team, allocated_from=whole)
    part = cap(acme, 100, team, allocated_from=whole)
    assert (part.amount, part.allocated_from) == (100, whole)


def test_what_does_not_go_together_is_refused(acme: Organization, team: Unit) -> None:
    whole = cap(acme, 100)
    fixed = {"fixed_starts_at": datetime(2025, 1, 1, tzinfo=UTC), "fixed_ends_at": datetime(2025, 2, 1, tzinfo=UTC)}
    for fields in (
        {"measure": "requests"},
        {"period_kind": "day"},
        {"period_kind": "fixed", **fixed},
        {"applies_to_each": "employee"},
    ):
        with pytest.raises(Invalid):
            cap(acme, 1, team, allocated_from=whole, **fields)
    with pytest.raises(Invalid, match="above its own"):
        cap(acme, 1, hardness="soft", allocated_from=whole)
    with pytest.raises(Invalid, match="the same requests"):
        cap(acme, 1, team, allocated_from=cap(acme, 100, selector={"models": ["openai/*"]}))
    with pytest.raises(Invalid, match="each unit"):
        cap(acme, 1, team, allocated_from=cap(acme, 100, applies_to_each="team"))
    capping.archive_cap(whole.id, organization=acme, acting=ANN)
    with pytest.raises(Invalid, match="archived"):
        cap(acme, 1, team, allocated_from=whole)


def test_another_organizations_budget_is_not_found(acme: Organization, team: Unit) -> None:
    other = cap(money.make_organization("other"), 100)
    own = cap(acme, 100)
    with pytest.raises(NotFound):
        cap(acme, 1, team, allocated_from=other)
    with pytest.raises(NotFound):
        allocating.allocate(other, organization=acme, parent=own, acting=ANN)
    with pytest.raises(NotFound):
        allocating.release(other, organization=acme, acting=ANN)
