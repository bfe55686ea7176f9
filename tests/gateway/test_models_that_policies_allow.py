"""GET /v1/models names what the key may use: what it is granted, and no policy denies whatever the request."""

import httpx
import openai
import pytest

from apps.catalog.models import CatalogModel
from apps.providers.models import ProviderAccount
from tests.gateway.company import Company
from tests.gateway.governing import in_force, in_shadow, retire


def listed(company: Company, key: str = "") -> set[str]:
    head = {"authorization": f"Bearer {key or company.key}"}
    answer = httpx.get(f"{company.gateway_url}/v1/models", headers=head)
    assert answer.status_code == 200, answer.text
    return {model["id"] for model in answer.json()["data"]}


def test_an_allowlist_narrows_the_list_until_it_is_retired(company: Company) -> None:
    before = listed(company)
    assert {"gpt-4.1-mini", "gpt-4o", "gpt-4o-2024-08-06"} < before
    version = in_force(company, "allowlist", {"models": ["openai/gpt-4o", "anthropic/*"]})
    assert "gpt-4o" in listed(company)
    assert "gpt-4.1-mini" not in listed(company)
    retire(company, version)
    assert listed(company) == before


def test_one_model_is_told_as_the_list_tells_it_and_another_is_not_found(company: Company) -> None:
    client = company.client()
    assert client.models.retrieve("gpt-4o") in client.models.list().data
    in_force(company, "allowlist", {"models": ["openai/gpt-4.1"]})
    for hidden in ("gpt-4o", "no-such-model", "openai/gpt-4.1", "%00"):
        with pytest.raises(openai.NotFoundError) as refused:
            client.models.retrieve(hidden)
        assert refused.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError):
        company.client("spk_test_nobody").models.retrieve("gpt-4.1")


def test_two_allowlists_leave_what_both_allow(company: Company) -> None:
    in_force(company, "allowlist", {"models": ["openai/gpt-4o", "openai/gpt-4.1"]})
    in_force(company, "allowlist", {"models": ["openai/gpt-4.1", "openai/o3"]}, unit=company.actor)
    assert listed(company) == {name for name in listed(company) if name.startswith("gpt-4.1")}
    assert "gpt-4.1" in listed(company)
    assert "gpt-4.1-mini" not in listed(company)


def test_what_depends_on_the_request_hides_nothing(company: Company) -> None:
    before = listed(company)
    in_force(company, "per_request_limit", {"max_usd": "0.01", "max_output_tokens": 5})
    in_force(company, "review", {})
    in_force(company, "allowlist", {"tools": []})
    in_force(company, "allowlist", {"models": []}, selector={"tools": ["*"]})
    in_force(company, "allowlist", {"models": []}, selector={"environments": ["production"]})
    in_shadow(company, "allowlist", {"models": []})
    assert listed(company) == before


def test_a_list_for_one_key_leaves_the_others_alone(company: Company) -> None:
    another = company.another_key()
    in_force(company, "allowlist", {"models": []}, selector={"key_ids": [another.record.key_id]})
    assert listed(company, another.key) == set()
    assert "gpt-4o" in listed(company)


def test_it_lists_what_the_key_may_use_and_nothing_else(company: Company) -> None:
    """By the name that it was granted, with a price, and with an account to send it to."""
    granted = company.another_key(grants=["openai/gpt-4.1-mini"]).key
    assert listed(company, granted) == {"gpt-4.1-mini"}
    unpriced = f"gpt-{company.organization.slug}"
    CatalogModel.objects.create(provider="openai", name=unpriced)
    assert company.chat(model=unpriced).status_code == 403
    assert unpriced not in listed(company)
    ProviderAccount.objects.filter(organization=company.organization).delete()
    assert listed(company) == set()
