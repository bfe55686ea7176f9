"""402 and 429 tell apart what is spent from what is only held."""

import threading

import pytest

from tests.gateway.company import Company, body


def test_money_held_by_a_running_request_is_429_and_frees_itself(company: Company) -> None:
    company.chat()
    (first,) = company.wait_for_ends(1)
    # Counted exactly once before, since loading a vocabulary for that may take seconds on a busy machine.
    company.cap(first.booked_nanos + 1)
    assert company.chat().status_code == 402
    company.cap(first.booked_nanos + int(first.amount_nanos * 1.5))
    slow = threading.Thread(target=lambda: company.chat(sandbox="delay=4"))
    slow.start()
    company.wait_for_open()
    answer = company.chat()
    assert answer.status_code == 429
    error = answer.json()["error"]
    assert error["code"] == "budget_in_flight"
    assert int(error["spendra"]["reserved"]) > 0
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert "x-should-retry" not in answer.headers
    slow.join()
    company.wait_for_ends(2)
    assert company.chat().status_code == 200


def test_the_official_client_waits_and_gets_through(company: Company) -> None:
    company.chat()
    (first,) = company.wait_for_ends(1)
    company.cap(first.booked_nanos + int(first.amount_nanos * 1.5))
    slow = threading.Thread(target=lambda: company.chat(sandbox="delay=2"))
    slow.start()
    company.wait_for_open()
    assert company.client().with_options(max_retries=4).chat.completions.create(**body()).choices
    slow.join()


@pytest.mark.parametrize("period_kind", ["total", "day", "week", "month", "year"])
def test_spend_counts_against_a_cap_of_every_period(company: Company, period_kind: str) -> None:
    company.chat()
    (first,) = company.wait_for_ends(1)
    company.cap(first.booked_nanos, period_kind=period_kind)
    answer = company.chat()
    assert answer.status_code == 402
    assert answer.json()["error"]["spendra"]["settled"] == str(first.booked_nanos)


def test_a_soft_cap_counts_and_lets_through(company: Company) -> None:
    company.cap(0, hardness="soft")
    assert company.chat().status_code == 200


def test_an_each_budget_gives_every_actor_one_of_its_own(company: Company) -> None:
    company.cap(1, applies_to_each="employee")
    assert company.chat().status_code == 200, "an agent is no employee"
    company.cap(1, applies_to_each="agent")
    answer = company.chat()
    assert answer.status_code == 402
    assert answer.json()["error"]["spendra"]["scope_id"] == str(company.actor.id)
