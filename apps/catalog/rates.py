"""Turns the lines of a price version into rates that need no further look-ups: gaps filled, worst cases known."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import lru_cache
from uuid import UUID

from apps.catalog.types import STANDARD_TIER, ModelPrices, Rates, WorstRates
from spendra.kernel.money import NANOS_PER_USD, UNITS_PER_PRICE

Tier = Mapping[str, Mapping[int, int]]  # usage class → over_tokens → nanos per million units

AUTO = "auto"
UNKNOWN = "unknown"
# A request that names no tier leaves the choice to the provider's project settings: these can name any of these tiers.
_TIERS_BY_PROJECT = {"openai": ("flex", "priority", "fast")}
# These write a prompt to their cache only where the request asks for it; any other provider may do so by itself.
_CACHES_ON_REQUEST = frozenset({"anthropic", "google"})
_NOT_TOKENS = frozenset({"request", "web_search"})
# The dearest published hosted search, for a price list that names none.
_UNLISTED_WEB_SEARCH = 35 * NANOS_PER_USD // 1_000 * UNITS_PER_PRICE
_LINE = re.compile(r"([a-z0-9_]+) (\d+) (\d+) (.+)")


@lru_cache(maxsize=16_384)
def compile_prices(version_id: UUID, provider: str, model: str, lines: str) -> ModelPrices | None:
    """None where the version does not even price plain input and output. Safe to cache: versions never change."""
    tiers = {name: _steps(tier) for name, tier in _by_tier(lines).items() if {"input", "output"} <= tier.keys()}
    if STANDARD_TIER not in tiers:
        return None
    return ModelPrices(
        provider=provider,
        model=model,
        version_id=version_id,
        has_audio_prices="audio_input" not in tiers[STANDARD_TIER][0].guessed,
        tiers=tiers,
        worst={
            name: _worst(provider, [tiers[reached] for reached in reach]) for name, reach in _reach(provider, tiers)
        },
    )


def _by_tier(lines: str) -> dict[str, dict[str, dict[int, int]]]:
    tiers: dict[str, dict[str, dict[int, int]]] = {}
    for usage_class, over_tokens, nanos, tier in _LINE.findall(lines):
        tiers.setdefault(tier, {}).setdefault(usage_class, {})[int(over_tokens)] = int(nanos)
    return tiers


def _steps(tier: Tier) -> tuple[Rates, ...]:
    thresholds = sorted({0}.union(*tier.values()))
    return tuple(_rates(tier, over_tokens) for over_tokens in thresholds)


def _rates(tier: Tier, over_tokens: int) -> Rates:
    listed = {name: _at(prices, over_tokens) for name, prices in tier.items()}
    filled = listed | _gaps(listed)
    guessed = {"cache_write_5m", "cache_write_1h", "audio_input", "cached_audio_input", "audio_output", "web_search"}
    if "audio_input" in listed:
        guessed.discard("cached_audio_input")
    return Rates(**filled, over_tokens=over_tokens, guessed=frozenset(guessed - listed.keys()))


def _at(prices: Mapping[int, int], over_tokens: int) -> int:
    """The price at this context size. A class listed only for larger ones costs what the smallest of those says."""
    return prices[max((size for size in prices if size <= over_tokens), default=min(prices))]


def _gaps(listed: Mapping[str, int]) -> dict[str, int]:
    """Prices of the classes that a list leaves out, never too low.

    Reasoning and images cost what output and input do unless listed, and a cached token never more than a fresh one.
    Cache writes cost 1.25 and 2 times the input wherever they are sold. Audio can cost many times the text: unless
    listed it takes the dearest rate there is, and a request with audio is refused beforehand.
    """
    plain, output = listed["input"], listed["output"]
    dearest = max(price for name, price in listed.items() if name not in _NOT_TOKENS)
    short_write = listed.get("cache_write_5m", -(-plain * 5 // 4))
    audio = listed.get("audio_input", dearest)
    filled = {
        "cached_input": plain,
        "cache_write_5m": short_write,
        "cache_write_1h": max(short_write, 2 * plain),
        "reasoning": output,
        "audio_input": audio,
        "cached_audio_input": audio,
        "audio_output": dearest,
        "image_input": plain,
        "image_output": output,
        "request": 0,
        "web_search": _UNLISTED_WEB_SEARCH,
    }
    return {name: price for name, price in filled.items() if name not in listed}


def _reach(provider: str, tiers: Mapping[str, object]) -> Iterable[tuple[str, set[str]]]:
    """The tiers that an answer can be billed at, by the tier that the request names: the one named, or standard."""
    yield from ((name, {name, STANDARD_TIER}) for name in tiers)
    yield AUTO, {STANDARD_TIER} | (tiers.keys() & set(_TIERS_BY_PROJECT.get(provider, ())))
    yield UNKNOWN, set(tiers)


def _worst(provider: str, tiers: Iterable[tuple[Rates, ...]]) -> tuple[WorstRates, ...]:
    tiers = list(tiers)
    worst: list[WorstRates] = []
    for over_tokens in sorted({rates.over_tokens for steps in tiers for rates in steps}):
        reached = [_dear(provider, rates) for steps in tiers for rates in steps if rates.over_tokens <= over_tokens]
        dearest = {
            field.name: max(getattr(rates, field.name) for rates in reached)
            for field in fields(WorstRates)
            if field.name != "over_tokens"
        }
        worst.append(WorstRates(over_tokens=over_tokens, **dearest))
    return tuple(worst)


def _dear(provider: str, rates: Rates) -> WorstRates:
    plain = max(rates.input, rates.cached_input, rates.image_input)
    if provider not in _CACHES_ON_REQUEST and "cache_write_5m" not in rates.guessed:
        plain = max(plain, rates.cache_write_5m)
    caching = max(plain, rates.cache_write_5m, rates.cache_write_1h)
    audio = max(rates.audio_input, rates.cached_audio_input)
    output = max(rates.output, rates.reasoning, rates.image_output)
    return WorstRates(
        over_tokens=rates.over_tokens,
        input=plain,
        input_caching=caching,
        audio_input=max(plain, audio),
        audio_input_caching=max(caching, audio),
        audio_output=max(output, rates.audio_output),
        output=output,
        request=rates.request,
        web_search=rates.web_search,
    )
