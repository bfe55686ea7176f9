"""The model list inside the `litellm` wheel: output limits, retirement dates, and prices that genai-prices lacks."""

import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from zipfile import ZipFile

from apps.catalog.building.draft import Draft, Key, Tier, Tiers, nanos_per_million, overlaid
from apps.catalog.bundles import EVER_SINCE
from apps.catalog.types import STANDARD_TIER

PACKAGE = "litellm"
LIST = "litellm/model_prices_and_context_window_backup.json"
CHAT_MODES = frozenset({"chat", "responses"})
# Our provider → the name of it there, and what its model ids begin with.
_PROVIDERS = {
    "openai": ("openai", ""),
    "anthropic": ("anthropic", ""),
    "google": ("gemini", "gemini/"),
    "openrouter": ("openrouter", "openrouter/"),
}
_CLASSES = {
    "input_cost_per_token": "input",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write_5m",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "cache_creation_input_token_cost_above_12hr": "cache_write_1h",
    "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "audio_input",
    "cache_read_input_audio_token_cost": "cached_audio_input",
    "output_cost_per_audio_token": "audio_output",
}
_TIERS = {
    None: STANDARD_TIER,
    "priority": "priority",
    "flex": "flex",
    "batches": "batch",
    "ultrafast": "ultrafast",
}
_PRICE = re.compile(
    rf"(?P<what>{'|'.join(sorted(_CLASSES, key=len, reverse=True))})"
    r"(_above_(?P<over>\d+)k_tokens)?(_(?P<tier>priority|flex|batches|ultrafast))?"
)

Entry = dict[str, object]


class Models:
    """What a wheel's list says, a provider at a time."""

    def __init__(self, wheel: Path) -> None:
        self.version = wheel.name.split("-")[1]
        with ZipFile(wheel) as archive:
            self._entries: dict[str, Entry] = json.loads(archive.read(LIST), parse_float=Decimal)

    def of(self, provider: str) -> dict[str, Entry]:
        """Every model of the provider, by the id that its API takes."""
        there, prefix = _PROVIDERS[provider]
        return {
            name.removeprefix(prefix): entry
            for name, entry in self._entries.items()
            if entry.get("litellm_provider") == there and name.startswith(prefix)
        }


def is_chat(entry: Entry) -> bool:
    return entry.get("mode") in CHAT_MODES


def draft(name: str, entry: Entry) -> Draft:
    """A draft without prices where the list gives none for input and output, or only zeros: unknown, not free."""
    tiers = _tiers(entry)
    standard = tiers.get(STANDARD_TIER, {})
    is_priced = bool(standard.get(("input", 0)) and standard.get(("output", 0)))
    retired = entry.get("deprecation_date")
    return Draft(
        name=name,
        context_window=_limit(entry.get("max_input_tokens")),
        max_output_tokens=_limit(entry.get("max_output_tokens")),
        retired_on=date.fromisoformat(retired) if isinstance(retired, str) else None,
        timeline={EVER_SINCE: tiers} if is_priced else {},
        hears=entry.get("supports_audio_input") is True,
    )


def _limit(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _tiers(entry: Entry) -> Tiers:
    listed: Tiers = {}
    for field, value in entry.items():
        match = _PRICE.fullmatch(field)
        if match and isinstance(value, int | Decimal):
            key: Key = _CLASSES[match["what"]], int(match["over"] or 0) * 1_000
            nanos = nanos_per_million(Decimal(value), units=1)
            listed.setdefault(_TIERS[match["tier"]], {}).update({} if nanos is None else {key: nanos})
    standard = listed.get(STANDARD_TIER, {}) | _search(entry)
    return {STANDARD_TIER: standard} | {
        name: overlaid(standard, tier) for name, tier in listed.items() if name != STANDARD_TIER
    }


def _search(entry: Entry) -> Tier:
    prices = entry.get("search_context_cost_per_query")
    if not isinstance(prices, dict):
        return {}
    nanos = nanos_per_million(max(Decimal(price) for price in prices.values()), units=1)
    return {} if nanos is None else {("web_search", 0): nanos}
