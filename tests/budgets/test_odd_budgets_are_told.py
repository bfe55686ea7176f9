"""Budgets that are accepted though they may never count a request: their author is told."""

from datetime import UTC, date, datetime

from apps.budgets import capping, checking
from apps.budgets.models import Budget
from apps.catalog.models import CatalogModel
from apps.keys.revoking import revoke
from apps.orgs.models import Organization
from tests.budgets import money
from tests.databases import Database
from tests.keys.building import make_key

ANN = "ann@example.com"


def told(acme: Organization, **fields: object) -> list[str]:
    budget = capping.set_cap(organization=acme, period_kind="day", amount=5, acting=ANN, **fields)
    return checking.warnings(budget)


def test_an_ordinary_budget_has_nothing_odd(acme: Organization) -> None:
    assert told(acme) == []
    assert told(acme, selector={"models": ["openai/gpt-4*"], "actor_kinds": ["agent"]}) == []
    assert told(acme, unit=money.make_unit(acme, "Data", "team"), applies_to_each="employee") == []


def test_a_model_that_nobody_sells_is_told(acme: Organization) -> None:
    [warning] = told(acme, selector={"models": ["openai/gpt-4.1*", "openai/gtp-4o"]})
    assert warning == "Warning: the catalog knows no model openai/gtp-4o, so nothing is counted of it."


def test_a_model_that_its_provider_has_retired_is_told(acme: Organization) -> None:
    CatalogModel.objects.filter(provider="openai", name="gpt-4.1-mini").update(retired_on=date(2026, 1, 1))
    assert told(acme, selector={"models": ["openai/gpt-4.1-mini"]}) == [
        "Warning: the provider has retired openai/gpt-4.1-mini."
    ]


def test_keys_that_are_all_revoked_are_told(acme: Organization) -> None:
    one, other = (make_key(acme).record.key_id for _ in range(2))
    revoke(one, acting=ANN)
    assert told(acme, selector={"key_ids": [one, other]}) == []
    assert told(acme, selector={"key_ids": [one]}) == [
        "Warning: every key that it is for is revoked, so it counts nothing more."
    ]


def test_a_range_that_is_over_is_told(acme: Organization) -> None:
    budget = capping.set_cap(
        organization=acme, period_kind="fixed", amount=5, acting=ANN,
        fixed_starts_at=datetime(2020, 1, 1, tzinfo=UTC), fixed_ends_at=datetime(2020, 2, 1, tzinfo=UTC),
    )  # fmt: skip
    assert checking.warnings(budget) == ["Warning: it ended on 2020-02-01 00:00 UTC, so it caps nothing."]


def test_a_kind_that_cannot_be_below_the_scope_is_told(acme: Organization) -> None:
    ada = money.make_unit(acme, "Ada", "employee")
    assert told(acme, unit=ada, applies_to_each="agent") == []
    assert told(acme, unit=ada, applies_to_each="team") == [
        "Warning: no team can be below the employee Ada, so it caps nothing."
    ]


def test_of_two_ranges_that_overlap_both_hold(acme: Organization, database: Database) -> None:
    connection = database.connect()
    ranges = [(datetime(2020, 1, 1, tzinfo=UTC), datetime(2099, month, 1, tzinfo=UTC)) for month in (1, 2)]
    for amount, (starts_at, ends_at) in zip((100, 50), ranges, strict=True):
        capping.set_cap(
            organization=acme, period_kind="fixed", amount=amount, fixed_starts_at=starts_at, fixed_ends_at=ends_at,
            acting=ANN,
        )  # fmt: skip
    periods = [money.open_period(connection, budget) for budget in Budget.objects.order_by("amount")]
    tokens = money.tokens_of(connection, acme)
    assert money.verdict(connection, money.a_request(acme, tokens, periods, nanos=60)) == "exceeded"
    assert money.verdict(connection, money.a_request(acme, tokens, periods, nanos=40)) == "granted"
