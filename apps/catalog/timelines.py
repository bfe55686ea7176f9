"""Prices over time: what holds from an instant on, and what has to be said so that something else does."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import TypeAlias

from apps.catalog.bundles import DatedPrices, PriceLine

Lines: TypeAlias = tuple[PriceLine, ...]


def first_instant(day: date) -> datetime:
    """From when on a source of that day speaks."""
    return datetime.combine(day, time(), UTC)


def holding(newest_first: Sequence[DatedPrices], at: datetime) -> Lines | None:
    """Of the prices effective by then the newest hold."""
    return next((dated.lines for dated in newest_first if dated.effective_from <= at), None)


def from_then_on(newest_first: Sequence[DatedPrices], start: datetime) -> list[DatedPrices]:
    """The prices that hold at `start`, then every later change of them."""
    changes: list[DatedPrices] = []
    for at in _instants(newest_first, start):
        lines = holding(newest_first, at)
        if lines is not None and (not changes or changes[-1].lines != lines):
            changes.append(DatedPrices(at, lines))
    return changes


def missing(wanted: Sequence[DatedPrices], held: Sequence[DatedPrices], start: datetime) -> list[DatedPrices]:
    """What to add, as newer than all that is held, for the wanted prices to hold from `start` on. Both newest first."""
    for at in _instants((*wanted, *held), start):
        lines = holding(wanted, at)
        if lines is not None and lines != holding(held, at):
            return from_then_on(wanted, at)
    return []


def _instants(dated: Sequence[DatedPrices], start: datetime) -> list[datetime]:
    return sorted({start} | {prices.effective_from for prices in dated if prices.effective_from > start})
