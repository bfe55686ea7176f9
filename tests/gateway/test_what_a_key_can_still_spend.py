"""GET /v1/spendra/budget tells an agent what it can plan with: each cap, to the nano, as of this moment."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from apps.budgets.overriding import override_cap
from apps.orgs.units import create_unit
from spendra.kernel.clock import database_now
from tests.gateway.company import Company
from tests.gateway.governing import USD, freeze, outcome


def budget(company: Company, key: str | None = None) -> httpx.Response:
    head = {"authorization": f"Bearer {key or company.key}"}
    return httpx.get(f"{company.gateway_url}/v1/spendra/budget", headers=head, timeout=30)


def caps(company: Company, key: str | None = None) -> list[dict[str, Any]]:
    answer = budget(company, key)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["caps"]
    return found


def test_a_key_without_caps_has_none_to_tell(company: Company) -> None:
    answer = budget(company).json()
    assert answer["caps"] == []
    assert answer["organization"] == company.organization.slug
    assert answer["key_id"] == company.issued.record.key_id


def test_what_was_spent_is_gone_from_the_cap(company: Company) -> None:
    company.cap(USD)
    company.chat()
    (ended,) = company.wait_for_ends(1)
    (cap,) = caps(company)
    left = USD - ended.booked_nanos
    assert (cap["settled"], cap["remaining"]) == (str(ended.booked_nanos), str(left))
    assert (cap["reserved"], cap["available"], cap["resets_at"]) == ("0", str(left), None)


def test_what_was_spent_before_the_cap_counts(company: Company) -> None:
    company.chat()
    (ended,) = company.wait_for_ends(1)
    company.cap(USD, period_kind="day")
    (cap,) = caps(company)
    assert cap["settled"] == str(ended.booked_nanos)
    assert datetime.now(UTC) < datetime.fromisoformat(cap["resets_at"]) <= datetime.now(UTC) + timedelta(days=1)


def test_a_lowered_cap_leaves_nothing_and_no_less_than_nothing(company: Company) -> None:
    company.cap(USD)
    company.chat()
    company.wait_for_ends(1)
    company.cap(1)
    (cap,) = caps(company)
    assert (cap["cap"], cap["remaining"], cap["available"]) == ("1", "0", "0")


def test_every_scope_of_the_key_is_told_and_no_other(company: Company) -> None:
    team = create_unit(organization=company.organization, kind="team", name="Elsewhere", acting="test")
    company.cap(3, unit=team)
    company.cap(2, unit=company.actor)
    company.cap(1)
    assert {(cap["scope"], cap["cap"]) for cap in caps(company)} == {
        (f"organization {company.organization.slug}", "1"),
        ("agent Ada's agent", "2"),
    }


def test_a_cap_for_some_models_says_for_which_and_one_for_other_keys_is_left_out(company: Company) -> None:
    another = company.another_key()
    company.cap(1, selector={"models": ["openai/gpt-4.1-*"]})
    company.cap(2, selector={"key_ids": [another.record.key_id]})
    company.cap(3, selector={"environments": ["production"]})
    assert [(cap["cap"], cap["selector"]) for cap in caps(company)] == [("1", {"models": ["openai/gpt-4.1-*"]})]


def test_rates_are_told_in_their_measure(company: Company) -> None:
    company.cap(5, measure="requests", period_kind="minute")
    assert [(cap["measure"], cap["period"], cap["available"]) for cap in caps(company)] == [("requests", "minute", "5")]


def test_an_override_is_the_cap_in_force(company: Company) -> None:
    base = company.cap(1)
    ends_at = database_now() + timedelta(hours=1)
    override_cap(base.id, organization=company.organization, amount=7, ends_at=ends_at, acting="test", reason="A fair")
    (cap,) = caps(company)
    assert cap["cap"] == "7"
    assert datetime.fromisoformat(cap["override_ends_at"]) == ends_at


def test_asking_spends_and_reserves_nothing(company: Company) -> None:
    company.cap(USD)
    for _ in range(3):
        caps(company)
    assert company.reservations() == []


def test_a_frozen_key_and_an_unknown_one_are_refused(company: Company) -> None:
    freeze(company, key_id=company.issued.record.key_id)
    assert outcome(budget(company)) == "frozen"
    assert outcome(budget(company, "spk_test_unknown")) == "key_rejected"
