"""Catalog entries and bundles for tests, with and without a database."""

from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from uuid import UUID

from apps.catalog import bundles, pricing, queries
from apps.catalog.bundles import EVER_SINCE, Bundle, BundleModel, DatedPrices, PriceLine
from apps.catalog.types import CatalogEntry, CatalogSnapshot, ModelPrices, StoredVersion
from spendra.kernel.ids import uuid7
from tests.databases import Database

NOBODY = UUID(int=1)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
USD = 1_000_000_000  # a price of one USD a million units


@cache
def image_bundle() -> Bundle:
    return bundles.read(bundles.IMAGE_BUNDLE)


@cache
def image_entries() -> dict[tuple[str, str], CatalogEntry]:
    return {(model.provider, model.name): entry_of(model) for model in image_bundle().models}


def entry_of(model: BundleModel) -> CatalogEntry:
    versions = [
        StoredVersion(uuid7(), None, number, dated.effective_from, text_of(dated.lines))
        for number, dated in enumerate(model.prices, start=1)
    ]
    return CatalogEntry(
        model.provider, model.name, model.context_window, model.max_output_tokens, tuple(reversed(versions))
    )


def text_of(lines: tuple[PriceLine, ...]) -> str:
    return "\n".join(f"{line.usage_class} {line.over_tokens} {line.nanos_per_million} {line.tier}" for line in lines)


def prices_of(entry: CatalogEntry, at: datetime = NOW) -> ModelPrices:
    price = pricing.price_in_force(entry, NOBODY, at)
    assert price is not None
    return price.prices


def lines(standard: dict[str, int], **tiers: dict[str, int]) -> tuple[PriceLine, ...]:
    """lines({"input": 1, "output@200000": 2}, flex={…}): nanos per million, a size after the @."""
    by_tier = {"standard": standard, **tiers}
    return tuple(
        sorted(
            PriceLine(tier, key.partition("@")[0], int(key.partition("@")[2] or 0), nanos)
            for tier, prices in by_tier.items()
            for key, nanos in prices.items()
        )
    )


def plain(usd_input: int, usd_output: int | None = None) -> tuple[PriceLine, ...]:
    return lines({"input": usd_input * USD, "output": (usd_output or 4 * usd_input) * USD})


def model(
    name: str = "toy",
    *,
    provider: str = "openai",
    aliases: tuple[str, ...] = (),
    prices: dict[datetime, tuple[PriceLine, ...]] | None = None,
    context_window: int | None = 128_000,
    max_output_tokens: int | None = 16_000,
) -> BundleModel:
    return BundleModel(
        provider=provider,
        name=name,
        aliases=aliases,
        context_window=context_window,
        max_output_tokens=max_output_tokens,
        retired_on=None,
        prices=tuple(DatedPrices(start, of) for start, of in (prices or {EVER_SINCE: plain(1)}).items()),
    )


def bundle(*models: BundleModel, on: date = date(2027, 3, 1)) -> Bundle:
    return Bundle(version=f"{on} test", date=on, sources={"test": "1"}, models=models)


def later(earlier: Bundle, *models: BundleModel, days: int = 30) -> Bundle:
    return replace(earlier, date=date.fromordinal(earlier.date.toordinal() + days), models=models)


def snapshot(database: Database) -> CatalogSnapshot:
    with database.connect() as connection, connection.cursor() as cursor:
        return queries.load_snapshot(cursor)
