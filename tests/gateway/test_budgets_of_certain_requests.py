"""A budget with a selector counts the requests that it names, and no others."""

from typing import Any

import pytest

from apps.budgets.models import Budget, Period
from tests.gateway.company import Company
from tests.gateway.governing import error_of, outcome

WEB_SEARCH = [{"type": "web_search"}]
FUNCTION = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


def budget(company: Company, amount: int = 0, **fields: Any) -> Budget:
    return Budget.objects.create(
        organization=company.organization, period_kind="total", amount=amount, counts_from_now=True, **fields
    )


@pytest.mark.parametrize(
    ("selector", "counted", "not_counted"),
    [
        ({"models": ["openai/gpt-4.1-*"]}, {}, {"model": "gpt-4o"}),
        ({"tools": ["web_search"]}, {"tools": WEB_SEARCH}, {"tools": FUNCTION}),
        ({"tools": ["*"], "models": ["openai/gpt-4.1-mini"]}, {"tools": WEB_SEARCH}, {}),
        ({"environments": ["development"]}, {}, None),
        ({"environments": ["production"]}, None, {}),
        ({"actor_kinds": ["agent", "subagent"]}, {}, None),
        ({"actor_kinds": ["employee"]}, None, {}),
        ({"of_tomorrow": ["x"]}, {}, None),
    ],
)
def test_it_refuses_what_its_selector_names(
    company: Company, selector: dict[str, Any], counted: dict[str, Any] | None, not_counted: dict[str, Any] | None
) -> None:
    budget(company, selector=selector)
    for _ in range(2):
        if counted is not None:
            assert outcome(company.chat(**counted)) == "budget_exceeded"
        if not_counted is not None:
            assert outcome(company.chat(**not_counted)) == "200"


def test_it_may_be_for_one_key(company: Company) -> None:
    another = company.another_key()
    budget(company, selector={"key_ids": [another.record.key_id]})
    assert outcome(company.chat(key=another.key)) == "budget_exceeded"
    assert outcome(company.chat()) == "200"


def test_tools_that_cannot_be_told_are_counted(company: Company) -> None:
    budget(company, selector={"tools": ["code_interpreter"]})
    assert outcome(company.chat(tools=[{"type": 7}])) == "budget_exceeded"
    assert outcome(company.chat()) == "200"


def test_the_refusal_says_what_it_is_for(company: Company) -> None:
    budget(company, selector={"models": ["openai/gpt-4.1-*"]})
    said = error_of(company.chat())["message"]
    assert (
        f"total cap of 0.00 USD on organization {company.organization.slug} for openai/gpt-4.1-* has 0.00 USD" in said
    )


def test_each_request_is_booked_into_the_periods_of_the_budgets_that_count_it(company: Company) -> None:
    all_of_it = budget(company, 10**15, hardness="soft")
    searches = budget(company, 10**15, selector={"tools": ["web_search*"]})
    other_tools = budget(company, 10**15, selector={"tools": ["code_interpreter"]})
    mini = budget(company, 10**15, selector={"models": ["openai/*-mini"]}, measure="requests")
    for fields in ({}, {"tools": WEB_SEARCH}, {"model": "gpt-4o"}, {"tools": [*WEB_SEARCH, *FUNCTION]}):
        assert outcome(company.chat(**fields)) == "200"
    company.wait_for_ends(4)
    budgets = dict(Period.objects.filter(organization_id=company.organization.id).values_list("id", "budget_id"))
    counted = [{budgets[period] for period in one.period_ids} for one in company.reservations()]
    assert counted == [
        {all_of_it.id, mini.id},
        {all_of_it.id, mini.id, searches.id},
        {all_of_it.id},
        {all_of_it.id, mini.id, searches.id},
    ]
    assert not Period.objects.filter(budget_id=other_tools.id).exists()
    assert Period.objects.get(budget_id=mini.id).settled == 3


def test_a_demanded_cap_must_be_one_that_counts_the_request_and_no_mere_rate(company: Company) -> None:
    company.organization.requires_cap = True
    company.organization.save()
    budget(company, 10**15, selector={"tools": ["web_search"]})
    Budget.objects.create(
        organization=company.organization, period_kind="minute", measure="requests", amount=100, counts_from_now=True
    )
    assert outcome(company.chat()) == "cap_required"
    assert outcome(company.chat(tools=WEB_SEARCH)) == "200"
    budget(company, 10**15, selector={"models": ["openai/gpt-4.1-mini"]})
    assert outcome(company.chat()) == "200"
    assert outcome(company.chat(model="gpt-4o")) == "cap_required"
