"""What the real provider would charge, read from the catalog bundle and added up here once more.

It shares the list of prices with the product but none of its arithmetic, so that a test that compares the two
compares two computations.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BUNDLE = Path(__file__).resolve().parents[3] / "apps" / "catalog" / "bundle" / "catalog.json"
PROVIDER = "openai"

Lines = Mapping[tuple[str, str], list[tuple[int, int]]]  # (tier, usage class) → [(over tokens, nanos per million)]


@dataclass(frozen=True, slots=True)
class Usage:
    """As OpenAI reports it: cached and reasoning tokens are part of the totals."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int


@dataclass(frozen=True, slots=True)
class PricedModel:
    name: str
    dated_name: str
    max_output_tokens: int | None
    lines: Lines

    def has_tier(self, tier: str) -> bool:
        return {(tier, "input"), (tier, "output")} <= self.lines.keys()

    def charge(self, usage: Usage, tier: str) -> int:
        """Nano-USD, rounded up once."""
        reasoning = "reasoning" if (tier, "reasoning") in self.lines else "output"
        cached = "cached_input" if (tier, "cached_input") in self.lines else "input"
        units = (
            ("input", usage.prompt_tokens - usage.cached_tokens),
            (cached, usage.cached_tokens),
            ("output", usage.completion_tokens - usage.reasoning_tokens),
            (reasoning, usage.reasoning_tokens),
        )
        total = sum(count * self._rate(tier, name, usage.prompt_tokens) for name, count in units)
        return -(-total // 1_000_000)

    def _rate(self, tier: str, usage_class: str, prompt_tokens: int) -> int:
        steps = self.lines[tier, usage_class]
        return max((step for step in steps if step[0] < max(prompt_tokens, 1)), default=min(steps))[1]


def load_models() -> dict[str, PricedModel]:
    """Every name and alias of OpenAI's models in the bundle."""
    models: dict[str, PricedModel] = {}
    for entry in json.loads(BUNDLE.read_bytes())["models"]:
        if entry["provider"] == PROVIDER and entry["prices"]:
            model = _priced(entry)
            models.update(dict.fromkeys((entry["name"], *entry["aliases"]), model))
    return models


def _priced(entry: dict[str, Any]) -> PricedModel:
    now = datetime.now(UTC)
    effective = [
        dated
        for dated in entry["prices"]
        if dated["effective_from"] is None or datetime.fromisoformat(dated["effective_from"]) <= now
    ]
    lines: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for tier, usage_class, over_tokens, nanos in (effective or entry["prices"])[-1]["lines"]:
        lines.setdefault((tier, usage_class), []).append((over_tokens, nanos))
    return PricedModel(
        name=entry["name"],
        dated_name=_dated_name(entry["name"], entry["aliases"]),
        max_output_tokens=entry["max_output_tokens"],
        lines=lines,
    )


def _dated_name(name: str, aliases: list[str]) -> str:
    """The newest release that the bundle knows of the model: what OpenAI's answers carry."""
    dated = re.compile(re.escape(name) + r"-\d{4}(-\d\d-\d\d)?")
    return max((alias for alias in aliases if dated.fullmatch(alias)), default=name)
