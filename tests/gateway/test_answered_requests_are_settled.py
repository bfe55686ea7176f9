"""The main job: answered by the provider, booked at its exact price."""

import httpx

from tests.gateway.company import MODEL, Company, body
from tests.gateway.conftest import Sandbox


def test_a_plain_request_is_booked_at_what_the_provider_charged(company: Company, sandbox: Sandbox) -> None:
    answer = company.client().chat.completions.create(**body())
    (reservation,) = company.wait_for_ends(1)
    (entry,) = company.entries()
    assert entry.amount_nanos == sandbox.charge_of(answer.id) > 0
    assert (entry.kind, entry.status, entry.cause) == ("charge", "final", "settled")
    assert entry.tokens == answer.usage.total_tokens
    assert (reservation.state, reservation.booked_nanos) == ("settled", entry.amount_nanos)


def test_a_streamed_request_is_booked_at_what_the_provider_charged(company: Company, sandbox: Sandbox) -> None:
    chunks = list(company.client().chat.completions.create(**body(stream=True)))
    company.wait_for_ends(1)
    (entry,) = company.entries()
    assert entry.amount_nanos == sandbox.charge_of(chunks[0].id) > 0
    assert entry.status == "final"
    assert all(chunk.usage is None for chunk in chunks), "a usage chunk that nobody asked for"


def test_a_client_that_asks_for_usage_gets_its_usage_chunk(company: Company) -> None:
    stream = company.client().chat.completions.create(**body(stream=True, stream_options={"include_usage": True}))
    *_, last = stream
    assert last.usage is not None
    assert last.choices == []


def test_the_answer_names_reservation_and_cost(company: Company) -> None:
    answer = company.chat()
    (reservation,) = company.wait_for_ends(1)
    assert answer.headers["x-spendra-reservation"] == str(reservation.id)
    assert answer.headers["x-spendra-cost-usd"].startswith("0.0000")
    assert answer.headers["x-request-id"] == reservation.request_id
    assert answer.headers["x-spendra-upstream-request-id"].startswith("req_")


def test_the_spend_event_keeps_usage_price_version_and_answering_model(company: Company) -> None:
    answer = company.client().chat.completions.create(**body())
    (reservation,) = company.wait_for_ends(1)
    (event,) = company.events()
    (entry,) = company.entries()
    assert event.id == entry.spend_event_id
    assert event.price_version_id == reservation.price_version_id
    assert event.model == answer.model != MODEL
    assert event.usage["output"] == answer.usage.completion_tokens
    assert event.usage["input"] == answer.usage.prompt_tokens


def test_spend_counts_for_every_scope_above_the_actor(company: Company) -> None:
    company.chat()
    company.wait_for_ends(1)
    (entry,) = company.entries()
    assert entry.scope_ids == [company.organization.id, company.actor.id]


def test_a_request_without_output_limit_gets_the_default_of_its_key(company: Company) -> None:
    key = company.another_key(default_output_tokens=5).key
    sent = {name: value for name, value in body().items() if name != "max_tokens"}
    answer = company.client(key).chat.completions.create(**sent)
    assert answer.usage.completion_tokens <= 5
    (reservation,) = company.wait_for_ends(1)
    assert reservation.amount_tokens < 400


def test_models_lists_what_the_key_may_use(company: Company) -> None:
    key = company.another_key(grants=["openai/gpt-4.1-mini"]).key
    assert [model.id for model in company.client(key).models.list()] == ["gpt-4.1-mini"]
    everything = {model.id for model in company.client().models.list()}
    assert {"gpt-4.1-mini", "gpt-4o"} <= everything


def test_the_key_may_come_as_azure_and_anthropic_clients_send_it(company: Company) -> None:
    for header in ("api-key", "x-api-key"):
        answer = httpx.post(
            f"{company.gateway_url}/v1/chat/completions", json=body(), headers={header: company.key}, timeout=30
        )
        assert answer.status_code == 200
