"""Each way in which a call can go wrong, and what is booked for it."""

import itertools

import httpx
import openai
import pytest

from spendra.development.embedded_postgres.ports import free_port
from tests.databases import Database
from tests.gateway.company import Company, body
from tests.gateway.conftest import Sandbox
from tests.gateway.running import RunningGateway


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422, 429, 500, 501, 503, 521, 523, 525, 526, 529])
def test_an_error_of_the_provider_is_passed_on_and_costs_nothing(company: Company, status: int) -> None:
    answer = company.chat(sandbox=f"status={status}")
    assert answer.status_code == status
    assert "error" in answer.json()
    (reservation,) = company.wait_for_ends(1)
    assert reservation.state == "voided"
    assert company.entries() == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [408, 502, 504, 520, 522, 524])
def test_a_status_that_leaves_open_whether_the_provider_worked_is_passed_on_and_booked_as_estimated(
    company: Company, status: int, stream: bool
) -> None:
    answer = company.chat(sandbox=f"status={status};retry-after=7", stream=stream)
    assert (answer.status_code, answer.headers["retry-after"]) == (status, "7")
    assert answer.headers["x-spendra-error-source"] == "provider"
    assert answer.json()["error"]["message"] == f"The sandbox provider was asked to answer {status}."
    (reservation,) = company.wait_for_ends(1)
    (entry,) = company.entries()
    assert (entry.status, entry.amount_nanos) == ("estimated", reservation.amount_nanos)


def test_the_providers_retry_after_reaches_the_client(company: Company) -> None:
    assert company.chat(sandbox="status=429;retry-after=7").headers["retry-after"] == "7"


def test_a_refused_stream_is_answered_with_the_status_not_with_an_empty_stream(company: Company) -> None:
    with pytest.raises(openai.RateLimitError):
        company.client().chat.completions.create(**body(stream=True), extra_headers={"x-sandbox": "status=429"})
    assert company.wait_for_ends(1)[0].state == "voided"


def test_a_provider_that_cannot_be_reached_costs_nothing(
    gateway: RunningGateway, shared_database: Database, company: Company, tmp_path
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with RunningGateway(shared_database.url, nobody, tmp_path / "log") as lonely:
        answer = company.chat(url=lonely.url)
        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == "upstream_unreachable"
        assert company.wait_for_ends(1)[0].state == "voided"
    assert company.entries() == []


def test_a_provider_that_never_answers_is_booked_as_estimated(
    gateway: RunningGateway, sandbox: Sandbox, shared_database: Database, company: Company, tmp_path
) -> None:
    impatient = {"SPENDRA_UPSTREAM_READ_TIMEOUT_SECONDS": "1"}
    with RunningGateway(shared_database.url, sandbox.url, tmp_path / "log", environment=impatient) as hasty:
        answer = company.chat(url=hasty.url, sandbox="hang")
        assert answer.status_code == 504
        assert answer.json()["error"]["code"] == "upstream_timed_out"
        (reservation,) = company.wait_for_ends(1)
    (entry,) = company.entries()
    assert (entry.status, entry.amount_nanos) == ("estimated", reservation.amount_nanos)


def test_an_answer_that_is_not_json_is_booked_as_estimated(company: Company) -> None:
    answer = company.chat(sandbox="malformed")
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_malformed"
    (reservation,) = company.wait_for_ends(1)
    (entry,) = company.entries()
    assert (entry.status, entry.amount_nanos) == ("estimated", reservation.amount_nanos)


def test_an_answer_cut_in_the_middle_is_booked_as_estimated(company: Company) -> None:
    answer = company.chat(sandbox="cut-after=0")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_broke_off")
    (reservation,) = company.wait_for_ends(1)
    (entry,) = company.entries()
    assert (entry.status, entry.amount_nanos) == ("estimated", reservation.amount_nanos)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_without_usage_is_priced_from_its_bytes(company: Company, sandbox: Sandbox, stream: bool) -> None:
    answer = company.chat(sandbox="no-usage", stream=stream, max_tokens=64)
    assert answer.status_code == 200
    (reservation,) = company.wait_for_ends(1)
    (entry,) = company.entries()
    assert entry.status == "estimated"
    assert 0 < entry.amount_nanos <= reservation.amount_nanos


def test_a_stream_that_the_provider_cuts_ends_with_an_error_and_is_estimated_not_below_the_charge(
    company: Company, sandbox: Sandbox
) -> None:
    answer = company.chat(sandbox="cut-after=3", stream=True, max_tokens=64)
    assert '"code":"upstream_broke_off"' in answer.text
    company.wait_for_ends(1)
    (entry,) = company.entries()
    assert entry.status == "estimated"
    assert entry.amount_nanos >= sandbox.charge_of(_completion_id(answer.text))


def test_a_client_that_leaves_a_stream_pays_for_what_was_seen(company: Company, sandbox: Sandbox) -> None:
    client = company.client()
    stream = client.chat.completions.create(
        **body(stream=True, max_tokens=8000), extra_headers={"x-sandbox": "chunk-delay=0.05"}
    )
    first, *_ = itertools.islice(stream, 4)
    stream.response.close()
    (reservation,) = company.wait_for_ends(1)
    (entry,) = company.entries()
    assert entry.status == "estimated"
    assert sandbox.charge_of(first.id) <= entry.amount_nanos < reservation.amount_nanos


def test_a_client_that_leaves_before_a_plain_answer_has_it_booked_exactly(company: Company, sandbox: Sandbox) -> None:
    before = sandbox.requests()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{company.gateway_url}/v1/chat/completions",
            json=body(),
            headers={"authorization": f"Bearer {company.key}", "x-sandbox": "delay=1"},
            timeout=0.4,
        )
    company.wait_for_ends(1)
    (entry,) = company.entries()
    assert sandbox.requests() == before + 1
    assert entry.status == "final"


def test_more_than_was_reserved_is_booked_and_told_as_overage(company: Company, sandbox: Sandbox) -> None:
    answer = company.chat(sandbox="overage=500").json()
    (reservation,) = company.wait_for_ends(1)
    (entry,) = company.entries()
    assert entry.amount_nanos == sandbox.charge_of(answer["id"]) > reservation.amount_nanos
    assert (entry.cause, entry.status) == ("overage", "final")


def test_an_answer_from_a_model_that_nobody_knows_is_priced_as_the_one_asked_for(company: Company) -> None:
    company.chat(sandbox="model=gpt-of-tomorrow")
    company.wait_for_ends(1)
    (entry,) = company.entries()
    assert (entry.status, entry.model) == ("estimated", "gpt-of-tomorrow")


def test_an_answer_from_another_known_model_is_priced_as_that_one(company: Company, sandbox: Sandbox) -> None:
    answer = company.chat(sandbox="model=gpt-4.1-nano").json()
    company.wait_for_ends(1)
    (entry,) = company.entries()
    assert entry.status == "final"
    assert entry.amount_nanos == sandbox.charge_of(answer["id"])


@pytest.mark.parametrize("fault", ["split=1", "crlf", "comment", "usage-every-chunk", "gzip"])
def test_streams_of_every_shape_are_booked_exactly(company: Company, sandbox: Sandbox, fault: str) -> None:
    answer = company.chat(sandbox=fault, stream=True)
    assert answer.status_code == 200
    company.wait_for_ends(1)
    (entry,) = company.entries()
    assert entry.status == "final"
    assert entry.amount_nanos == sandbox.charge_of(_completion_id(answer.text))


def test_a_compressed_plain_answer_is_booked_exactly(company: Company, sandbox: Sandbox) -> None:
    answer = company.chat(sandbox="gzip").json()
    company.wait_for_ends(1)
    assert company.entries()[0].amount_nanos == sandbox.charge_of(answer["id"])


def _completion_id(stream: str) -> str:
    return "chatcmpl-" + stream.split('"id":"chatcmpl-')[1].split('"')[0]
