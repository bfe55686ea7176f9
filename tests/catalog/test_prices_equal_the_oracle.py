"""Our price is that of genai-prices over random usage, for every model that both know, at any time and in any tier."""

import math
import warnings
from datetime import UTC, datetime, timedelta
from functools import cache

from genai_prices import Usage as OracleUsage
from genai_prices import data_snapshot
from genai_prices.types import ModelInfo
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.catalog import pricing
from apps.catalog.types import CatalogEntry, Usage
from tests.catalog.entries import image_entries, prices_of

FIRST_DAY = datetime(2025, 6, 1, 12, tzinfo=UTC)
TIERS = {
    "standard": {},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "batch": {"processing": "batch"},
    "fast": {"service_tier": "fast", "speed": "fast"},
}
CLASSES = {
    "input_mtok": "input",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "audio_input",
    "cache_audio_read_mtok": "cached_audio_input",
    "output_audio_mtok": "audio_output",
    "web_searches_kcount": "web_search",
}


@cache
def known_to_both() -> list[tuple[CatalogEntry, ModelInfo]]:
    """Named over there, not found by a prefix: that may be an older model at another price."""
    oracle = {provider.id: provider for provider in data_snapshot.get_snapshot().providers}
    both = [(entry, oracle[provider].find_model(name)) for (provider, name), entry in image_entries().items()]
    return [(entry, model) for entry, model in both if model and names(model, entry.model)]


def names(model: ModelInfo, name: str) -> bool:
    return model.id == name or f"equals='{name}'" in repr(model.match)


def test_most_of_the_bundle_is_compared() -> None:
    compared = {entry.provider for entry, _ in known_to_both()}

    assert compared == {"openai", "anthropic", "google", "openrouter"}
    assert len(known_to_both()) > 0.9 * len(image_entries())


@settings(max_examples=600, deadline=None, derandomize=True)
@given(st.data())
def test_every_usage_costs_what_the_oracle_says(data: st.DataObject) -> None:
    provider = data.draw(st.sampled_from(["openai", "anthropic", "google", "openrouter"]), label="provider")
    entry, model = data.draw(st.sampled_from([both for both in known_to_both() if both[0].provider == provider]))
    at = FIRST_DAY + timedelta(days=data.draw(st.integers(0, 800), label="day"))
    tier = data.draw(st.sampled_from([tier for tier in TIERS if oracle_sells(model, tier, at)]), label="tier")
    prices = prices_of(entry, at)
    sold = {
        CLASSES[key]
        for key, price in vars(model.get_prices(at, TIERS[tier])).items()
        if price is not None and key in CLASSES
    } - prices.tiers[tier][0].guessed
    if "-search-" in entry.model:  # billed a request, in our bundle
        sold.discard("web_search")
    units = st.one_of(st.just(0), st.integers(0, 300_000), st.sampled_from([1, 100_000, 200_000, 200_001, 272_000]))
    usage = Usage(**{name: data.draw(units, label=name) for name in sorted(sold)}, request=0, service_tier=tier)

    cost = pricing.price_usage(prices, usage)

    assert cost.nanos == oracle_nanos(model, usage, tier, at)
    assert not cost.is_estimated


def oracle_sells(model: ModelInfo, tier: str, at: datetime) -> bool:
    """An unknown context silently gets the standard price over there."""
    return tier == "standard" or any(
        all(TIERS[tier].get(key) == value for key, value in variant.when.items())
        and (variant.constraint is None or variant.constraint.active(at))
        for variant in model.price_variants or ()
    )


def oracle_nanos(model: ModelInfo, usage: Usage, tier: str, at: datetime) -> int:
    counts = {
        "input_tokens": usage.input_total,
        "cache_read_tokens": usage.cached_input + usage.cached_audio_input,
        "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "cache_write_1h_tokens": usage.cache_write_1h,
        "output_tokens": usage.output_total,
        "output_reasoning_tokens": usage.reasoning,
        "input_audio_tokens": usage.audio_input + usage.cached_audio_input,
        "cache_audio_read_tokens": usage.cached_audio_input,
        "output_audio_tokens": usage.audio_output,
        "web_searches": usage.web_search,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        price = model.get_prices(at, TIERS[tier]).calc_price(OracleUsage(**counts))
    return math.ceil(price["total_price"] * 1_000_000_000)
