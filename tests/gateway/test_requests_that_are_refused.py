"""Refusals: the status, the code, the sentence; nothing reserved, nothing sent."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import openai
import pytest

from apps.keys.format import mint
from apps.keys.models import Key
from apps.orgs.organizations import suspend_organization
from apps.orgs.units import archive
from tests.gateway.company import Company, body, make_company
from tests.gateway.conftest import Sandbox
from tests.gateway.running import RunningGateway


@pytest.fixture(autouse=True)
def _nothing_is_spent(company: Company, sandbox: Sandbox):
    before = sandbox.requests()
    yield
    assert sandbox.requests() == before
    assert company.entries() == []


def _error(answer) -> dict:
    assert answer.headers["x-request-id"]
    return answer.json()["error"]


@pytest.mark.parametrize(
    "key",
    ["sk-provider", "spk_test_abc", mint(live=False).key, "spk_live_" + "a" * 66],
    ids=["a provider's", "too short", "well made", "no checksum"],
)
def test_a_key_that_is_none_of_ours_is_401(company: Company, key: str) -> None:
    answer = company.chat(key=key)
    assert (answer.status_code, _error(answer)["code"]) == (401, "key_rejected")
    assert answer.headers["x-should-retry"] == "false"


def test_the_right_key_id_with_the_wrong_secret_is_401(company: Company) -> None:
    other = mint(live=False)
    forged = company.key[:26] + other.key[26:]
    assert company.chat(key=forged).status_code == 401


def test_two_different_keys_are_401(company: Company) -> None:
    answer = company.client().with_options(default_headers={"x-api-key": "another"})
    with pytest.raises(openai.AuthenticationError):
        answer.chat.completions.create(**body())


def test_an_expired_key_is_401(company: Company) -> None:
    key = company.another_key(expires_in=timedelta(milliseconds=1)).key
    answer = company.chat(key=key)
    assert answer.status_code == 401
    assert "expired" in _error(answer)["message"]


def test_a_key_of_an_archived_actor_is_401(company: Company) -> None:
    archive(company.actor, organization=company.organization, acting="test")
    assert company.chat().status_code == 401


def test_a_suspended_organization_is_403(company: Company) -> None:
    suspend_organization(company.organization, acting="test")
    answer = company.chat()
    assert (answer.status_code, _error(answer)["code"]) == (403, "organization_suspended")


def test_a_model_that_is_not_granted_is_403_and_says_what_is(company: Company) -> None:
    key = company.another_key(grants=["openai/gpt-4o"]).key
    answer = company.chat(key=key)
    assert (answer.status_code, _error(answer)["code"]) == (403, "model_not_granted")
    assert "openai/gpt-4o" in _error(answer)["message"]


def test_a_key_without_grants_reaches_nothing(company: Company) -> None:
    assert company.chat(key=company.another_key(grants=[]).key).status_code == 403


def test_a_model_that_the_catalog_does_not_know_is_404(company: Company) -> None:
    answer = company.chat(model="gpt-of-tomorrow")
    assert (answer.status_code, _error(answer)["code"]) == (404, "model_not_found")
    assert _error(answer)["param"] == "model"


def test_a_cap_that_is_spent_is_402_and_says_everything(company: Company) -> None:
    budget = company.cap(1, period_kind="month")
    answer = company.chat()
    error = _error(answer)
    assert (answer.status_code, error["code"]) == (402, "budget_exceeded")
    assert answer.headers["x-should-retry"] == "false"
    said = error["spendra"]
    assert said["rule"] == str(budget.id)
    assert (said["cap"], said["settled"], said["remaining"]) == ("1", "0", "1")
    assert int(said["asked"]) > 1
    assert said["resets_at"]
    assert f"organization {company.organization.slug}" in error["message"]
    assert "USD" in error["message"]
    assert "A lower output limit may fit." in error["message"]


def test_nothing_is_said_to_fit_where_nothing_is_left(company: Company) -> None:
    company.cap(0)
    answer = company.chat()
    assert answer.status_code == 402
    assert "may fit" not in _error(answer)["message"]


def test_the_refusal_tells_when_no_output_limit_was_set(company: Company) -> None:
    company.cap(1_000_000)
    answer = company.chat(max_tokens=None)
    assert "because no max_tokens was set" in _error(answer)["message"]


def test_the_tightest_cap_is_the_one_that_is_named(company: Company) -> None:
    company.cap(1000, period_kind="month")
    tightest = company.cap(10, unit=company.actor, period_kind="day")
    assert _error(company.chat())["spendra"]["rule"] == str(tightest.id)


def test_a_reservation_above_the_keys_own_limit_is_refused(company: Company) -> None:
    key = company.another_key(max_reservation_nanos=1000).key
    answer = company.chat(key=key)
    assert (answer.status_code, _error(answer)["code"]) == (403, "reservation_too_large")


def test_an_organization_may_demand_a_cap(gateway: RunningGateway) -> None:
    careful = make_company(gateway.url)
    careful.organization.requires_cap = True
    careful.organization.save()
    answer = careful.chat()
    assert (answer.status_code, _error(answer)["code"]) == (403, "cap_required")


def test_a_soft_cap_refuses_nothing_and_an_unknown_route_is_404(company: Company) -> None:
    answer = company.client().with_options(base_url=f"{company.gateway_url}/v1/no-such")
    with pytest.raises(openai.NotFoundError):
        answer.chat.completions.create(**body())


def test_a_key_issued_this_instant_works_beside_somebody_who_guesses_keys_at_the_same_address(
    company: Company,
) -> None:
    url, stop = f"{company.gateway_url}/v1/chat/completions", threading.Event()

    def guess() -> set[int]:
        with httpx.Client() as guesser:
            statuses = set()
            while not stop.is_set():
                key = {"authorization": f"Bearer {mint(live=False).key}"}
                statuses.add(guesser.post(url, json=body(), headers=key).status_code)
            return statuses

    with ThreadPoolExecutor() as threads:
        guessing = [threads.submit(guess) for _ in range(4)]
        try:
            for _ in range(10):
                assert company.chat(key=company.another_key().key, model="gpt-of-tomorrow").status_code == 404
        finally:
            stop.set()
        assert set().union(*(one.result() for one in guessing)) == {401}


def test_a_key_given_to_another_organization_by_hand_is_401(company: Company) -> None:
    Key.objects.filter(id=company.issued.record.id).update(organization=make_company(company.gateway_url).organization)
    answer = company.chat()
    assert (answer.status_code, _error(answer)["code"]) == (401, "key_rejected")
