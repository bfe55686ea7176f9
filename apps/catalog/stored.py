"""The catalog's own price versions, in the form of a bundle. Organizations' own prices are no part of it."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from uuid import UUID

from apps.catalog.bundles import DatedPrices, PriceLine
from apps.catalog.models import Price, PriceVersion


@dataclass(frozen=True, slots=True)
class StoredPrices:
    """Every version of one model."""

    number: int  # of the newest version
    source_date: date  # of the newest version
    newest_first: tuple[DatedPrices, ...]


def stored_prices() -> dict[UUID, StoredPrices]:
    """By model id."""
    lines = _lines()
    versions = PriceVersion.objects.filter(organization=None).order_by("model_id", "-version")
    return {
        model_id: _of_model(list(of_model), lines)
        for model_id, of_model in groupby(versions, key=lambda version: version.model_id)
    }


def _lines() -> dict[UUID, list[PriceLine]]:
    lines: dict[UUID, list[PriceLine]] = defaultdict(list)
    columns = ("service_tier", "usage_class", "context_over_tokens", "nanos_per_million")
    for version_id, *line in Price.objects.filter(version__organization=None).values_list("version_id", *columns):
        lines[version_id].append(PriceLine(*line))
    return lines


def _of_model(versions: list[PriceVersion], lines: dict[UUID, list[PriceLine]]) -> StoredPrices:
    return StoredPrices(
        number=versions[0].version,
        source_date=versions[0].source_date,
        newest_first=tuple(
            DatedPrices(version.effective_from, tuple(sorted(lines[version.id]))) for version in versions
        ),
    )
