"""What a usage costs, and the most that a request can cost. Pure, exact, in integer nanos."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from apps.catalog.rates import AUTO, UNKNOWN, compile_prices
from apps.catalog.types import (
    STANDARD_TIER,
    CatalogEntry,
    Cost,
    ModelPrices,
    PriceInForce,
    Rates,
    RequestFacts,
    StoredVersion,
    Usage,
    WorstRates,
)
from spendra.kernel.errors import ModelUnpriced
from spendra.kernel.money import Nanos, ceil_price

# What providers call the tier without a name of its own, in requests and in answers.
_STANDARD_NAMES = frozenset({"default", STANDARD_TIER, "standard_only"})


def price_in_force(entry: CatalogEntry, organization_id: UUID, at: datetime) -> PriceInForce | None:
    """The organization's own price of the model at that instant, else the catalog's, else None: unpriced.

    Of the versions effective by then the newest wins. `valid_until` is the next instant at which another takes over.
    """
    own, own_until = _newest_effective((v for v in entry.versions if v.organization_id == organization_id), at)
    if own is not None:
        return _in_force(entry, own, own_until, is_own=True)
    version, until = _newest_effective((v for v in entry.versions if v.organization_id is None), at)
    if version is None:
        return None
    return _in_force(entry, version, _earliest(until, own_until), is_own=False)


def _newest_effective(
    newest_first: Iterable[StoredVersion], at: datetime
) -> tuple[StoredVersion | None, datetime | None]:
    until: datetime | None = None
    for version in newest_first:
        if version.effective_from <= at:
            return version, until
        until = _earliest(until, version.effective_from)
    return None, until


def _earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return min(one, other)


def _in_force(
    entry: CatalogEntry, version: StoredVersion, until: datetime | None, *, is_own: bool
) -> PriceInForce | None:
    prices = compile_prices(version.id, entry.provider, entry.model, version.lines)
    if prices is None:
        return None
    return PriceInForce(prices=prices, is_own=is_own, valid_from=version.effective_from, valid_until=until)


def price_usage(prices: ModelPrices, usage: Usage) -> Cost:
    """The exact cost, rounded up once. The whole request is billed at the context size of its whole prompt.

    A service tier without prices of its own is billed at the dearest tier there is, and the cost says `is_estimated`;
    so does a cost in which a class counted whose rate is guessed.
    """
    tier = usage.service_tier
    steps = prices.tiers.get(STANDARD_TIER if tier is None or tier in _STANDARD_NAMES else tier)
    if steps is not None:
        return _cost(steps, usage)
    return Cost(max(_cost(steps, usage).nanos for steps in prices.tiers.values()), is_estimated=True)


def _cost(steps: tuple[Rates, ...], usage: Usage) -> Cost:
    rates = steps[0]
    if len(steps) > 1:
        input_total = usage.input_total
        rates = next((step for step in reversed(steps) if step.over_tokens < input_total), rates)
    nanos = ceil_price(
        usage.input * rates.input
        + usage.cached_input * rates.cached_input
        + usage.cache_write_5m * rates.cache_write_5m
        + usage.cache_write_1h * rates.cache_write_1h
        + usage.output * rates.output
        + usage.reasoning * rates.reasoning
        + usage.audio_input * rates.audio_input
        + usage.cached_audio_input * rates.cached_audio_input
        + usage.audio_output * rates.audio_output
        + usage.image_input * rates.image_input
        + usage.image_output * rates.image_output
        + usage.request * rates.request
        + usage.web_search * rates.web_search
    )
    return Cost(nanos, is_estimated=_counts_any(usage, rates.guessed))


def _counts_any(usage: Usage, classes: frozenset[str]) -> bool:
    for name in classes:  # noqa: SIM110 - any() with a generator costs as much as all of the arithmetic
        if getattr(usage, name):
            return True
    return False


def worst_case_nanos(
    prices: ModelPrices, facts: RequestFacts, *, input_tokens_bound: int, output_tokens_bound: int
) -> Nanos:
    """An upper bound of `price_usage` over every answer to the request: at most `input_tokens_bound` tokens of prompt,
    at most `output_tokens_bound` of output a choice, the `web_searches` of the facts.

    Every token takes the dearest rate that it can meet. The tiers in reach are standard and the one the request names;
    a request that names none (or "auto") can be moved by the provider's project settings, at OpenAI also to priority.
    Cache writes count where the request asks for them, or where the provider writes by itself and prices it.
    ModelUnpriced when the request has audio and the model no price for it.
    """
    if facts.has_audio and not prices.has_audio_prices:
        raise ModelUnpriced(
            f"{prices.provider}/{prices.model} has no price for audio in the catalog: send text, or ask an "
            "administrator to set the organization's own price for it.",
            param="model",
        )
    steps = _reachable(prices, facts.service_tier)
    worst = next((step for step in reversed(steps) if step.over_tokens < input_tokens_bound), steps[0])
    if facts.has_audio:
        input_rate = worst.audio_input_caching if facts.asks_for_caching else worst.audio_input
        output_rate = worst.audio_output
    else:
        input_rate = worst.input_caching if facts.asks_for_caching else worst.input
        output_rate = worst.output
    return ceil_price(
        input_tokens_bound * input_rate
        + output_tokens_bound * facts.n * output_rate
        + worst.request
        + facts.web_searches * worst.web_search
    )


def _reachable(prices: ModelPrices, tier: str | None) -> tuple[WorstRates, ...]:
    if tier is None:
        return prices.worst[AUTO]
    name = STANDARD_TIER if tier in _STANDARD_NAMES else tier
    return prices.worst.get(name) or prices.worst[UNKNOWN]
