"""One usage, one exact price: classes, context sizes, service tiers, gaps in a price list, rounding."""

import pytest

from apps.catalog import pricing
from apps.catalog.models import UsageClass
from apps.catalog.types import USAGE_CLASSES, Cost, ModelPrices, Usage
from tests.catalog.entries import NOW, USD, entry_of, image_entries, lines, model, prices_of

LONG_AGO = NOW.replace(year=2020)
MILLION = 1_000_000


def priced(standard: dict[str, int], **tiers: dict[str, int]) -> ModelPrices:
    return prices_of(entry_of(model(prices={LONG_AGO: lines(standard, **tiers)})))


def test_the_usage_classes_are_those_of_the_database() -> None:
    assert tuple(UsageClass.values) == USAGE_CLASSES


def test_gpt_4_1_mini_costs_what_openai_publishes() -> None:
    prices = prices_of(image_entries()["openai", "gpt-4.1-mini"])

    cost = pricing.price_usage(prices, Usage(input=1_000, cached_input=500, output=200, service_tier="default"))

    assert cost == Cost(1_000 * 400 + 500 * 100 + 200 * 1_600, is_estimated=False)


def test_a_request_is_rounded_up_once_as_a_whole() -> None:
    prices = priced({"input": 600_000, "output": 600_000})

    assert pricing.price_usage(prices, Usage(input=1, output=1)).nanos == 2
    assert pricing.price_usage(prices, Usage(input=1)).nanos == 1
    assert pricing.price_usage(prices, Usage()).nanos == 0


def test_the_whole_request_is_billed_at_the_context_size_of_its_whole_prompt() -> None:
    prices = priced({"input": USD, "input@200000": 2 * USD, "cached_input": 0, "output": USD, "output@200000": 3 * USD})

    at_the_edge = pricing.price_usage(prices, Usage(input=100_000, cached_input=100_000, output=10)).nanos
    beyond = pricing.price_usage(prices, Usage(input=100_000, cached_input=100_001, output=10)).nanos

    assert at_the_edge == 100_000 * 1_000 + 10 * 1_000
    assert beyond == 100_000 * 2_000 + 10 * 3_000


def test_reasoning_is_billed_as_output_unless_it_has_a_price_of_its_own() -> None:
    usage = Usage(output=1, reasoning=1)

    assert pricing.price_usage(priced({"input": USD, "output": 5 * USD}), usage).nanos == 10_000
    assert pricing.price_usage(priced({"input": USD, "output": 5 * USD, "reasoning": 3 * USD}), usage).nanos == 8_000


def test_a_tier_without_prices_is_billed_at_the_dearest_and_marked_estimated() -> None:
    prices = priced(
        {"input": USD, "output": USD}, flex={"input": 1, "output": 1}, priority={"input": 1, "output": 2 * USD}
    )

    assert pricing.price_usage(prices, Usage(output=MILLION, service_tier="scale")) == Cost(2 * USD, is_estimated=True)
    assert pricing.price_usage(prices, Usage(input=MILLION, service_tier="scale")) == Cost(USD, is_estimated=True)


@pytest.mark.parametrize("name", [None, "default", "standard"])
def test_the_standard_tier_has_several_names(name: str | None) -> None:
    prices = priced({"input": USD, "output": USD}, priority={"input": 9 * USD, "output": 9 * USD})

    assert pricing.price_usage(prices, Usage(input=MILLION, service_tier=name)) == Cost(USD, is_estimated=False)


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(cached_input=MILLION), Cost(2 * USD, is_estimated=False)),
        (Usage(cache_write_5m=MILLION), Cost(2_500_000_000, is_estimated=True)),
        (Usage(cache_write_1h=MILLION), Cost(4 * USD, is_estimated=True)),
        (Usage(audio_input=MILLION), Cost(8 * USD, is_estimated=True)),
        (Usage(cached_audio_input=MILLION), Cost(8 * USD, is_estimated=True)),
        (Usage(audio_output=MILLION), Cost(8 * USD, is_estimated=True)),
        (Usage(image_input=MILLION), Cost(2 * USD, is_estimated=False)),
        (Usage(image_output=MILLION), Cost(8 * USD, is_estimated=False)),
        (Usage(web_search=1), Cost(35_000_000, is_estimated=True)),
    ],
)
def test_a_class_without_a_price_is_never_billed_too_low(usage: Usage, cost: Cost) -> None:
    assert pricing.price_usage(priced({"input": 2 * USD, "output": 8 * USD}), usage) == cost


def test_a_usage_tells_its_totals_and_what_occurred() -> None:
    usage = Usage(input=1, cached_input=2, cache_write_5m=4, audio_input=8, output=16, reasoning=32, request=0)

    assert (usage.input_total, usage.output_total) == (15, 48)
    assert usage.nonzero() == {
        "input": 1,
        "cached_input": 2,
        "cache_write_5m": 4,
        "output": 16,
        "reasoning": 32,
        "audio_input": 8,
    }
