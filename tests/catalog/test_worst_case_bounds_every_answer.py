"""No answer to a request costs more than its worst case, whatever the model, tier, context size and kind of usage."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.catalog import pricing
from apps.catalog.types import ModelPrices, RequestFacts, Usage
from spendra.kernel.errors import ModelUnpriced
from tests.catalog.entries import NOW, entry_of, image_entries, lines, model, prices_of

LONG_AGO = NOW.replace(year=2020)
TEXT_IN = ["input", "cached_input", "image_input"]
AUDIO_IN = ["audio_input", "cached_audio_input"]
OUT = ["output", "reasoning", "image_output"]
BY_PROJECT = {"openai": {"flex", "priority", "fast"}}


@settings(max_examples=600, deadline=None, derandomize=True)
@given(st.data())
def test_a_usage_inside_the_bounds_never_costs_more(data: st.DataObject) -> None:
    provider = data.draw(st.sampled_from(["openai", "anthropic", "google", "openrouter"]))
    entry = data.draw(st.sampled_from([entry for (of, _), entry in image_entries().items() if of == provider]))
    prices = prices_of(entry)
    facts = RequestFacts(
        n=data.draw(st.integers(1, 4)),
        has_audio=prices.has_audio_prices and data.draw(st.booleans()),
        asks_for_caching=data.draw(st.booleans()),
        service_tier=data.draw(st.sampled_from([None, "auto", "default", "unheard-of", *prices.tiers])),
        web_searches=data.draw(st.integers(0, 3)),
    )
    bound = data.draw(st.sampled_from([1, 1_000, 128_000, 200_001, 272_001, 900_000]))
    limit = data.draw(st.sampled_from([0, 16, 100_000]))
    input_classes = [*TEXT_IN, *(AUDIO_IN if facts.has_audio else []), *writes(provider, facts, prices)]
    output_classes = [*OUT, *(["audio_output"] if facts.has_audio else [])]
    usage = Usage(
        **data.draw(shares(input_classes, bound)),
        **data.draw(shares(output_classes, limit * facts.n)),
        web_search=data.draw(st.integers(0, facts.web_searches)),
        service_tier=data.draw(st.sampled_from(sorted(reachable(provider, facts.service_tier, set(prices.tiers))))),
    )

    worst = pricing.worst_case_nanos(prices, facts, input_tokens_bound=bound, output_tokens_bound=limit)

    assert pricing.price_usage(prices, usage).nanos <= worst


def shares(classes: list[str], total: int) -> st.SearchStrategy[dict[str, int]]:
    """At most `total` units, cut among the classes; often all of them in one."""
    cuts = st.lists(st.integers(0, total), min_size=len(classes), max_size=len(classes)).map(sorted)
    cut = cuts.map(lambda at: {name: at[i] - (at[i - 1] if i else 0) for i, name in enumerate(classes)})
    return st.one_of(st.sampled_from(classes).map(lambda name: {name: total}), cut)


def writes(provider: str, facts: RequestFacts, prices: ModelPrices) -> list[str]:
    if facts.asks_for_caching:
        return ["cache_write_5m", "cache_write_1h"]
    writes_unasked = provider not in {"anthropic", "google"}
    is_sold = all("cache_write_5m" not in rates.guessed for steps in prices.tiers.values() for rates in steps)
    return ["cache_write_5m"] if writes_unasked and is_sold else []


def reachable(provider: str, asked: str | None, tiers: set[str]) -> set[str]:
    if asked in (None, "auto"):
        return {"standard"} | (tiers & BY_PROJECT.get(provider, set()))
    if asked == "default":
        return {"standard"}
    return {"standard", asked} if asked in tiers else tiers


def test_a_request_that_names_no_tier_is_reserved_at_what_the_project_may_choose() -> None:
    prices = prices_of(
        entry_of(model(prices={LONG_AGO: lines({"input": 10, "output": 20}, priority={"input": 30, "output": 40})}))
    )

    assert worst(prices, service_tier=None) == worst(prices, service_tier="priority") == 70
    assert worst(prices, service_tier="default") == 30


def test_output_counts_once_for_each_choice() -> None:
    prices = prices_of(entry_of(model(prices={LONG_AGO: lines({"input": 10, "output": 20})})))

    assert worst(prices, n=3) == 10 + 3 * 20


def test_audio_without_a_price_is_refused_before_anything_is_spent() -> None:
    prices = prices_of(entry_of(model()))

    with pytest.raises(ModelUnpriced, match="no price for audio"):
        worst(prices, has_audio=True)


def test_a_search_model_reserves_the_fee_of_its_request() -> None:
    prices = prices_of(image_entries()["openai", "gpt-4o-search-preview"])
    facts = RequestFacts(service_tier="default", asks_for_caching=False)

    assert pricing.worst_case_nanos(prices, facts, input_tokens_bound=0, output_tokens_bound=0) == 25_000_000


def worst(prices: ModelPrices, **facts: object) -> int:
    facts = RequestFacts(**{"asks_for_caching": False, **facts})
    return pricing.worst_case_nanos(prices, facts, input_tokens_bound=1_000_000, output_tokens_bound=1_000_000)
