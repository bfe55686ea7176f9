"""A model while the bundle is being built, in the form that both sources are brought into."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from apps.catalog.bundles import DatedPrices, PriceLine
from spendra.kernel.money import NANOS_PER_USD

Key = tuple[str, int]  # usage class, over tokens
Tier = dict[Key, int]  # nanos per million units
Tiers = dict[str, Tier]


@dataclass
class Draft:
    name: str
    aliases: set[str] = field(default_factory=set)
    context_window: int | None = None
    max_output_tokens: int | None = None
    retired_on: date | None = None
    timeline: dict[datetime, Tiers] = field(default_factory=dict)
    hears: bool = False  # takes audio
    refused: set[str] = field(default_factory=set)  # classes left out somewhere, their price not being exact

    @property
    def is_priced(self) -> bool:
        plain = {("input", 0), ("output", 0)}
        return bool(self.timeline) and all(
            plain <= tier.keys() for tiers in self.timeline.values() for tier in tiers.values()
        )

    @property
    def limits(self) -> tuple[int | None, int | None]:
        return self.context_window, self.max_output_tokens


def nanos_per_million(usd: Decimal, *, units: int) -> int | None:
    """Of a price in USD for so many units; None where that is no whole number, since a price is never rounded."""
    nanos = usd * NANOS_PER_USD * 1_000_000 / units
    return int(nanos) if nanos == int(nanos) else None


def overlaid(base: Tier, over: Tier) -> Tier:
    """`base` with the prices of `over` in place of its own. Where only `base` prices a class by size, the dearer of the
    two counts at the larger sizes."""
    kept = {key: max(price, over.get((key[0], 0), 0)) for key, price in base.items()}
    return kept | over


def dated_prices(timeline: dict[datetime, Tiers]) -> tuple[DatedPrices, ...]:
    """The timeline as a bundle holds it; a date at which nothing changes is left out."""
    dated: list[DatedPrices] = []
    for start in sorted(timeline):
        lines = tuple(sorted(_lines(timeline[start])))
        if not dated or dated[-1].lines != lines:
            dated.append(DatedPrices(start, lines))
    return tuple(dated)


def _lines(tiers: Tiers) -> list[PriceLine]:
    return [
        PriceLine(tier, usage_class, over, nanos)
        for tier, prices in tiers.items()
        for (usage_class, over), nanos in prices.items()
    ]
