"""The prices that PyPI's `genai-prices` carries: the main source, dated, with context sizes and service tiers."""

from collections.abc import Iterator
from datetime import UTC, datetime, time
from decimal import Decimal
from importlib.metadata import version

from genai_prices import data_snapshot
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    TieredPrices,
)

from apps.catalog.building.draft import Draft, Key, Tier, Tiers, nanos_per_million
from apps.catalog.bundles import EVER_SINCE
from apps.catalog.types import STANDARD_TIER

PACKAGE = "genai-prices"
_MILLION, _THOUSAND = 1_000_000, 1_000
_CLASSES = {
    "input_mtok": ("input", _MILLION),
    "cache_read_mtok": ("cached_input", _MILLION),
    "cache_write_mtok": ("cache_write_5m", _MILLION),
    "cache_write_1h_mtok": ("cache_write_1h", _MILLION),
    "output_mtok": ("output", _MILLION),
    "output_reasoning_mtok": ("reasoning", _MILLION),
    "input_audio_mtok": ("audio_input", _MILLION),
    "cache_audio_read_mtok": ("cached_audio_input", _MILLION),
    "output_audio_mtok": ("audio_output", _MILLION),
    "input_image_mtok": ("image_input", _MILLION),
    "output_image_mtok": ("image_output", _MILLION),
    "requests_kcount": ("request", _THOUSAND),
    "web_searches_kcount": ("web_search", _THOUSAND),
}
_IGNORED = frozenset({"storage_searches_kcount"})  # hosted file search: never part of a chat model's own usage
# What selects a variant there → our service tier. A variant by route or region is no tier.
_TIERS = {
    ("service_tier", "flex"): "flex",
    ("service_tier", "priority"): "priority",
    ("service_tier", "fast"): "fast",
    ("processing", "batch"): "batch",
    ("speed", "fast"): "fast",
}


class Prices:
    """What the package says, a provider at a time."""

    def __init__(self) -> None:
        self.version = version(PACKAGE)
        self._providers = {provider.id: provider for provider in data_snapshot.get_snapshot().providers}

    def models(self, provider: str) -> Iterator[ModelInfo]:
        yield from self._providers[provider].models

    def find(self, provider: str, name: str) -> ModelInfo | None:
        """As the package resolves names: by prefix too, so a hit may be another, older model."""
        found: Provider = self._providers[provider]
        return found.find_model(name)


def draft(model: ModelInfo) -> Draft:
    """ValueError for a kind of price that we have no class for."""
    result = Draft(name=model.id, aliases=set(_exact_names(model)) - {model.id}, context_window=model.context_window)
    for start in _starts(model):
        result.timeline[start] = _tiers_at(model, start, result.refused)
    return result


def _exact_names(model: ModelInfo) -> list[str]:
    clauses = model.match.or_ if isinstance(model.match, ClauseOr) else [model.match]
    return [clause.equals for clause in clauses if isinstance(clause, ClauseEquals)]


def _starts(model: ModelInfo) -> set[datetime]:
    dated = model.prices if isinstance(model.prices, list) else []
    constraints = [item.constraint for item in (*dated, *(model.price_variants or ())) if item.constraint is not None]
    return {EVER_SINCE} | {_start(constraint, model) for constraint in constraints}


def _start(constraint: object, model: ModelInfo) -> datetime:
    if not isinstance(constraint, StartDateConstraint):
        raise ValueError(f"{model.id} is priced by the time of day, which a bundle can't say")
    return datetime.combine(constraint.start_date, time(), UTC)


def _tiers_at(model: ModelInfo, at: datetime, refused: set[str]) -> Tiers:
    tiers = {STANDARD_TIER: _prices(model.get_prices(at), model, refused)}
    for variant in model.price_variants or ():
        tier = _tier_of(variant)
        if tier is not None and (variant.constraint is None or variant.constraint.active(at)):
            tiers[tier] = _prices(model.get_prices(at, variant.when), model, refused)
    return tiers


def _tier_of(variant: PriceVariant) -> str | None:
    if len(variant.when) != 1:
        raise ValueError(f"a variant is selected by {sorted(variant.when)} together, which a bundle can't say")
    return _TIERS.get(next(iter(variant.when.items())))


def _prices(prices: ModelPrice, model: ModelInfo, refused: set[str]) -> Tier:
    tier: Tier = {}
    for price_key, price in vars(prices).items():
        if price is None or price_key in _IGNORED:
            continue
        if price_key not in _CLASSES:
            raise ValueError(f"{model.id} has a price {price_key}, for which there is no usage class")
        usage_class, units = _CLASSES[price_key]
        for key, usd in _sizes(usage_class, price):
            nanos = nanos_per_million(usd, units=units)
            if nanos is None:
                refused.add(usage_class)
            else:
                tier[key] = nanos
    return tier


def _sizes(usage_class: str, price: Decimal | TieredPrices) -> list[tuple[Key, Decimal]]:
    if isinstance(price, Decimal):
        return [((usage_class, 0), price)]
    return [((usage_class, 0), price.base), *(((usage_class, tier.start), tier.price) for tier in price.tiers)]
