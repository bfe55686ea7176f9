"""A model without a price is refused until an administrator has set one; then it costs exactly that."""

from apps.catalog.models import CatalogModel
from apps.catalog.setting_prices import set_price
from tests.gateway.company import MODEL, Company, make_company


def price(company: Company, model: str, **nanos_per_million: int) -> None:
    set_price(organization=company.organization, model=model, nanos_per_million=nanos_per_million, acting="test")


def test_the_next_request_costs_what_its_organization_pays(company: Company) -> None:
    another = make_company(company.gateway_url)
    assert company.chat().status_code == another.chat().status_code == 200
    price(company, MODEL, input=7_000_000_000, output=11_000_000_000)
    assert company.chat().status_code == another.chat().status_code == 200
    for one in (company, another):
        one.wait_for_ends(2)
    event = company.events()[1]
    input_tokens, output_tokens = event.usage["input"], event.usage["output"]
    assert company.entries()[1].amount_nanos == 7_000 * input_tokens + 11_000 * output_tokens
    assert company.entries()[1].status == "final"
    assert another.entries()[0].amount_nanos == another.entries()[1].amount_nanos == company.entries()[0].amount_nanos


def test_a_model_without_a_price_may_be_used_once_one_is_set(company: Company) -> None:
    another = make_company(company.gateway_url)
    model = f"gpt-unpriced-{company.organization.slug}"
    CatalogModel.objects.create(provider="openai", name=model, context_window=1000, source="test")
    for one in (company, another):
        assert one.chat(model=model).json()["error"]["code"] == "model_unpriced"
    price(company, model, input=1_000_000_000, output=2_000_000_000)
    answer = company.chat(model=model)  # which this provider does not have: it may be asked for it all the same
    assert (answer.status_code, answer.headers["x-spendra-error-source"]) == (404, "provider")
    assert another.chat(model=model).json()["error"]["code"] == "model_unpriced"
