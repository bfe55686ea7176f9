"""The stop switch: nothing of what is frozen passes, whatever it was granted; and it passes again once it is thawed."""

from typing import Any

import httpx
import pytest

from apps.orgs.units import create_unit, move
from tests.gateway.company import Company, make_company
from tests.gateway.governing import error_of, freeze, outcome, thaw


def models(company: Company) -> httpx.Response:
    return httpx.get(f"{company.gateway_url}/v1/models", headers={"authorization": f"Bearer {company.key}"})


def target(company: Company, what: str) -> dict[str, Any]:
    if what == "team":
        team = create_unit(organization=company.organization, kind="team", name="Red", acting="test")
        move(company.actor, organization=company.organization, parents=[team], acting="test")
        return {"unit": team}
    return {
        "organization": {},
        "actor": {"unit": company.actor},
        "account": {"provider": "openai"},
        "key": {"key_id": company.issued.record.key_id},
    }[what]


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("organization", "The organization is frozen"),
        ("team", "The team Red is frozen"),
        ("actor", "The agent Ada's agent is frozen"),
        ("account", "The account at openai is frozen"),
        ("key", "The key "),
    ],
)
def test_whatever_is_frozen_is_refused_with_the_reason_until_it_is_thawed(
    company: Company, what: str, named: str
) -> None:
    frozen = target(company, what)
    assert outcome(company.chat()) == "200"
    freeze(company, "Key seen on a forum", **frozen)
    answer = company.chat()
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (403, "frozen")
    assert answer.headers["x-should-retry"] == "false"
    assert error["message"].startswith(named)
    assert "Key seen on a forum. An administrator can thaw it." in error["message"]
    assert error["spendra"]["reason"] == "Key seen on a forum"
    assert error_of(models(company))["code"] == "frozen"
    thaw(company, **frozen)
    assert outcome(company.chat()) == "200"
    assert models(company).status_code == 200
    assert len(company.reservations()) == 2


def test_what_is_frozen_for_two_reasons_stays_so_until_both_are_gone(company: Company) -> None:
    freeze(company)
    freeze(company, unit=company.actor)
    thaw(company)
    assert outcome(company.chat()) == "frozen"
    thaw(company, unit=company.actor)
    assert outcome(company.chat()) == "200"


def test_another_unit_key_provider_or_organization_is_not_stopped(company: Company) -> None:
    freeze(company, unit=create_unit(organization=company.organization, kind="team", name="Blue", acting="test"))
    freeze(company, key_id=company.another_key().record.key_id)
    freeze(make_company(company.gateway_url))
    assert outcome(company.chat()) == "200"


def test_a_running_request_of_what_is_frozen_is_settled(company: Company) -> None:
    with company.client().chat.completions.create(
        model="gpt-4.1-mini", max_tokens=16, messages=[{"role": "user", "content": "hello"}], stream=True
    ) as stream:
        freeze(company)
        assert list(stream)
    assert [one.state for one in company.wait_for_ends(1)] == ["settled"]
