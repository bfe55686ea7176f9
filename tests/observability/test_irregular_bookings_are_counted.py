"""What is booked above its reservation, or without an exact price, is counted by its cause."""

import itertools

import pytest

from tests.gateway.company import Company, body
from tests.gateway.running import RunningGateway
from tests.observability.scraping import Series, growth, scrape
from tests.roles.commands import eventually

NAME = "spendra_gateway_irregular_bookings_total"
CAUSES = {"overage", "unknown_model", "guessed_price", "no_usage", "broken_stream", "nothing_known"}

FAULTS = {
    "more tokens than asked for": ("overage=500", {}, {"overage"}),
    "a model that nobody knows": ("model=gpt-of-tomorrow", {}, {"unknown_model"}),
    "a model that nobody knows, beyond the limit": (
        "model=gpt-of-tomorrow;overage=500", {}, {"unknown_model", "overage"},
    ),
    "no usage": ("no-usage", {}, {"no_usage"}),
    "no usage in a stream": ("no-usage", {"stream": True}, {"no_usage"}),
    "no usage of a model that thinks": ("no-usage", {"model": "gpt-5-nano"}, {"no_usage"}),
    "a stream that the provider cuts": ("cut-after=3", {"stream": True}, {"broken_stream"}),
    "a stream that it cuts after a running total": (
        "usage-every-chunk;cut-after=3", {"stream": True}, {"broken_stream"},
    ),
    "a search of a model without a price for it": (
        "", {"model": "gpt-3.5-turbo", "web_search_options": {}}, {"guessed_price"},
    ),
    "an answer that it cuts": ("cut-after=0", {}, {"nothing_known"}),
    "an answer that is not JSON": ("malformed", {}, {"nothing_known"}),
    "an error that it may charge for": ("status=504", {}, {"nothing_known"}),
}  # fmt: skip


def causes(before: Series, after: Series) -> dict[str, float]:
    return {name.split('"')[1]: n for name, n in growth(before, after).items() if name.startswith(NAME)}


@pytest.mark.parametrize(("fault", "fields", "expected"), FAULTS.values(), ids=FAULTS.keys())
def test_each_cause_is_counted_once(
    gateway: RunningGateway, company: Company, fault: str, fields: dict[str, object], expected: set[str]
) -> None:
    before = scrape(gateway)
    company.chat(sandbox=fault, **fields)
    company.wait_for_ends(1)
    (entry,) = company.entries()
    assert (entry.cause == "overage") == ("overage" in expected)
    assert (entry.status == "estimated") == (expected != {"overage"})
    assert causes(before, scrape(gateway)) == dict.fromkeys(expected, 1)


def test_a_stream_that_its_client_leaves_is_broken(gateway: RunningGateway, company: Company) -> None:
    before = scrape(gateway)
    stream = company.client().chat.completions.create(
        **body(stream=True, max_tokens=8000), extra_headers={"x-sandbox": "chunk-delay=0.05"}
    )
    list(itertools.islice(stream, 3))
    stream.response.close()
    company.wait_for_ends(1)
    assert eventually(lambda: causes(before, scrape(gateway))) == {"broken_stream": 1}


def test_what_is_exact_or_costs_nothing_is_not(gateway: RunningGateway, company: Company) -> None:
    before = scrape(gateway)
    company.chat()
    company.chat(stream=True)
    company.chat(sandbox="model=gpt-4.1-nano")
    company.chat(sandbox="status=500")
    company.chat(model="gpt-of-tomorrow")
    company.wait_for_ends(4)
    assert causes(before, scrape(gateway)) == {}


def test_every_cause_is_there_before_it_first_happens(own_gateway: RunningGateway) -> None:
    """Of a series that begins at 1 no rate can be told."""
    told = {name: value for name, value in scrape(own_gateway).items() if name.startswith(NAME)}
    assert told == {f'{NAME}{{cause="{cause}"}}': 0 for cause in CAUSES}
