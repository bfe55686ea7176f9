"""401 and 403 of a provider are about the organization's account there, not about the key of the caller."""

import httpx
import openai
import pytest

from tests.gateway.company import Company, body
from tests.gateway.running import METRICS_TOKEN, RunningGateway

CODE = "upstream_credential_rejected"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_account_is_told_from_a_refused_key(company: Company, status: int, stream: bool) -> None:
    answer = company.chat(sandbox=f"status={status}", stream=stream)
    assert answer.status_code == 502
    error = answer.json()["error"]
    assert (error["code"], error["type"], error["param"]) == (CODE, "upstream_error", None)
    assert "account at openai" in error["message"]
    assert "administrator" in error["message"]
    assert error["spendra"]["upstream_status"] == status
    assert answer.headers["x-should-retry"] == "false"
    assert "www-authenticate" not in answer.headers


def test_it_costs_nothing(company: Company) -> None:
    company.chat(sandbox="status=401")
    assert [one.state for one in company.wait_for_ends(1)] == ["voided"]
    assert company.entries() == []


def test_the_answer_leads_to_the_providers_request_and_to_the_reservation(company: Company) -> None:
    answer = company.chat(sandbox="status=401")
    assert answer.headers["x-spendra-upstream-request-id"].startswith("req_")
    assert answer.headers["x-request-id"] != answer.headers["x-spendra-upstream-request-id"]
    assert answer.headers["x-spendra-reservation"] == str(company.wait_for_ends(1)[0].id)


def test_what_the_provider_said_of_the_credential_stays_here(company: Company) -> None:
    """OpenAI repeats the beginning and the end of the key that it refuses."""
    answer = company.chat(sandbox="status=401")
    assert "sandbox provider was asked" not in answer.text
    assert answer.json()["error"]["spendra"]["upstream_code"] == "invalid_api_key"


def test_the_official_client_does_not_try_again(company: Company) -> None:
    client = company.client().with_options(max_retries=3)
    with pytest.raises(openai.InternalServerError, match="administrator"):
        client.chat.completions.create(**body(), extra_headers={"x-sandbox": "status=403"})
    assert len(company.wait_for_ends(1)) == 1


def test_an_administrator_reads_of_it_once_a_minute_and_counts_all(company: Company, gateway: RunningGateway) -> None:
    before = _counted(gateway)
    for _ in range(3):
        company.chat(sandbox="status=401")
    slug = company.organization.slug
    lines = [line for line in gateway.log.read_text().splitlines() if "refused the account" in line and slug in line]
    assert len(lines) == 1
    assert "env:OPENAI_API_KEY" in lines[0]
    assert "sk-sandbox" not in gateway.log.read_text()
    assert _counted(gateway) == before + 3


def _counted(gateway: RunningGateway) -> float:
    head = {"authorization": f"Bearer {METRICS_TOKEN}"}
    lines = httpx.get(f"{gateway.url}/metrics", headers=head).text.splitlines()
    name = f'spendra_gateway_requests_total{{outcome="{CODE}"}} '
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


@pytest.mark.parametrize("status", [400, 402, 404, 429, 500])
def test_every_other_error_of_a_provider_says_that_it_is_the_providers(company: Company, status: int) -> None:
    answer = company.chat(sandbox=f"status={status}")
    assert answer.status_code == status
    assert answer.headers["x-spendra-error-source"] == "provider"
    assert "spendra" not in answer.json()["error"]


def test_an_error_of_spendras_own_says_so_too(company: Company) -> None:
    refused = company.chat(key="spk_test_nonsense")
    unreadable = company.chat(messages="none")
    rejected = company.chat(sandbox="status=401")
    assert [one.headers["x-spendra-error-source"] for one in (refused, unreadable, rejected)] == ["spendra"] * 3


def test_an_answer_without_an_error_has_no_source_of_one(company: Company) -> None:
    assert "x-spendra-error-source" not in company.chat().headers
