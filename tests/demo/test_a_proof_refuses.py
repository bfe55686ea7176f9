"""What the demo shows as proved was compared with the ledger, the catalog and the provider: each can say no."""

from dataclasses import replace
from uuid import uuid4

import pytest

from apps.budgets.ending import end_by_hand
from spendra.development.demo import proof
from spendra.development.demo.errors import DemoError
from spendra.development.demo.requests import Answered, send_both
from tests.crash.stage import beside, eventually
from tests.demo.faulty_provider import provider_that_charged
from tests.gateway.company import Company
from tests.gateway.conftest import Sandbox


@pytest.fixture
def plain(company: Company) -> Answered:
    plain, _ = send_both(company.gateway_url, company.key)
    return plain


def answered(reservation_id: object) -> Answered:
    usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
    return Answered("plain", "gpt-4.1-mini", None, usage, str(reservation_id), "")


def test_both_requests_are_proved_where_all_is_well(company: Company, sandbox: Sandbox) -> None:
    proofs = [proof.prove(one, sandbox_url=sandbox.url) for one in send_both(company.gateway_url, company.key)]
    assert [one.entry.amount_nanos for one in proofs] == [one.amount_nanos for one in company.entries()]
    assert [one.answered.title for one in proofs] == ["plain", "streamed"]


def test_a_request_without_an_entry(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "_SETTLE_SECONDS", 0.2)
    with pytest.raises(DemoError, match="The plain request has no ledger entry after"):
        proof.prove(answered(uuid4()), sandbox_url=None)


def test_an_entry_that_is_an_estimate(company: Company) -> None:
    answer = company.chat(sandbox="no-usage")
    with pytest.raises(DemoError, match="was booked as charge, estimated, and not as final"):
        proof.prove(answered(answer.headers["x-spendra-reservation"]), sandbox_url=None)


def test_a_request_with_two_entries(company: Company) -> None:
    running = beside(lambda: company.chat(sandbox="delay=2"))
    [reservation] = eventually(lambda: [one for one in company.reservations() if one.state == "open"])
    end_by_hand(reservation.id, organization=company.organization, acting="test", reason="It hangs")
    running.result()
    eventually(lambda: len(company.entries()) == 2)
    with pytest.raises(DemoError, match="The plain request has 2 ledger entries instead of one"):
        proof.prove(answered(reservation.id), sandbox_url=None)


def test_an_amount_that_is_not_the_catalogs_price_of_what_the_client_was_told(
    plain: Answered, sandbox: Sandbox
) -> None:
    tokens = plain.usage["completion_tokens"]
    assert isinstance(tokens, int)
    told = replace(plain, usage={**plain.usage, "completion_tokens": tokens + 1})
    with pytest.raises(DemoError, match=r"its ledger entry says \d+ nano-USD, but the catalog's price is"):
        proof.prove(told, sandbox_url=sandbox.url)


def test_an_amount_that_the_provider_did_not_charge(plain: Answered, sandbox: Sandbox) -> None:
    amount = proof.prove(plain, sandbox_url=sandbox.url).entry.amount_nanos
    charges = {plain.upstream_request_id: {"charged_nanos": str(amount + 1)}}
    said = f"says {amount} nano-USD, but the provider charged {amount + 1}"
    with provider_that_charged(charges) as url, pytest.raises(DemoError, match=said):
        proof.prove(plain, sandbox_url=url)


def test_a_request_that_the_provider_does_not_know(plain: Answered, sandbox: Sandbox) -> None:
    with pytest.raises(DemoError, match="The sandbox provider does not know the plain request"):
        proof.prove(replace(plain, upstream_request_id="req_of_another"), sandbox_url=sandbox.url)


def test_an_answer_that_the_catalog_cannot_price(plain: Answered, sandbox: Sandbox) -> None:
    with pytest.raises(DemoError, match="The catalog cannot price the plain answer of of-tomorrow"):
        proof.prove(replace(plain, model="of-tomorrow"), sandbox_url=sandbox.url)
