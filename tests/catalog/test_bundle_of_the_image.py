"""How the image's bundle is built from its two sources, and that the one in the repository is such a bundle."""

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from zipfile import ZipFile

import pytest

from apps.catalog import bundles
from apps.catalog.building import genai, litellm, merging
from apps.catalog.building.draft import nanos_per_million
from apps.catalog.bundles import Bundle, BundleModel

TODAY = date(2026, 11, 23)
MINI = {
    "litellm_provider": "openai",
    "mode": "chat",
    "input_cost_per_token": 4e-07,
    "output_cost_per_token": 1.6e-06,
    "max_input_tokens": 1_047_576,
    "max_output_tokens": 32_768,
}


def build(tmp_path: Path, entries: Mapping[str, object]) -> dict[str, BundleModel]:
    wheel = tmp_path / "litellm-9.9.9-py3-none-any.whl"
    with ZipFile(wheel, "w") as archive:
        archive.writestr(litellm.LIST, json.dumps(entries))
    bundle, _ = merging.build(genai.Prices(), litellm.Models(wheel), on=TODAY)
    return {model.name: model for model in bundle.models if model.provider == "openai"}


def tiers(model: BundleModel) -> set[str]:
    return {line.tier for line in model.prices[-1].lines}


def test_the_bundle_in_the_repository_is_as_the_command_writes_it(tmp_path: Path) -> None:
    bundle = bundles.read(bundles.IMAGE_BUNDLE)

    bundles.write(bundle, tmp_path / "again.json")

    assert (tmp_path / "again.json").read_bytes() == bundles.IMAGE_BUNDLE.read_bytes()
    assert len(bundles.IMAGE_BUNDLE.read_bytes()) < 600_000


def test_every_provider_has_its_models() -> None:
    counts = [model.provider for model in bundles.read(bundles.IMAGE_BUNDLE).models]

    assert counts.count("openai") > 60
    assert counts.count("anthropic") > 20
    assert counts.count("google") > 20
    assert counts.count("openrouter") > 400


def test_building_twice_gives_the_same_file(tmp_path: Path) -> None:
    built: list[Bundle] = []
    for attempt in (1, 2):
        wheel = tmp_path / f"litellm-{attempt}-py3-none-any.whl"
        with ZipFile(wheel, "w") as archive:
            archive.writestr(litellm.LIST, json.dumps({"gpt-4.1-mini": MINI}))
        bundle, _ = merging.build(genai.Prices(), litellm.Models(wheel), on=TODAY)
        built.append(bundle)

    assert built[0].models == built[1].models


def test_a_dated_name_with_the_same_limits_is_an_alias(tmp_path: Path) -> None:
    models = build(tmp_path, {"gpt-4.1-mini": MINI, "gpt-4.1-mini-2025-04-14": MINI})

    assert models["gpt-4.1-mini"].aliases == ("gpt-4.1-mini-2025-04-14",)
    assert models["gpt-4.1-mini"].max_output_tokens == 32_768


def test_a_dated_name_with_other_limits_is_a_model_at_the_same_price(tmp_path: Path) -> None:
    models = build(tmp_path, {"gpt-4.1-mini": MINI, "gpt-4.1-mini-2025-04-14": MINI | {"max_output_tokens": 1}})

    assert models["gpt-4.1-mini-2025-04-14"].max_output_tokens == 1
    assert models["gpt-4.1-mini-2025-04-14"].prices == models["gpt-4.1-mini"].prices


def test_a_name_found_only_by_its_beginning_is_not_given_an_older_models_price(tmp_path: Path) -> None:
    dearer = MINI | {"input_cost_per_token": 9e-06}

    models = build(tmp_path, {"gpt-5-nano-9000": dearer})

    plain = next(line for line in models["gpt-5-nano-9000"].prices[0].lines if line.usage_class == "input")
    assert plain.nanos_per_million == 9_000_000_000


def test_tiers_of_the_second_source_count_only_where_the_plain_prices_agree(tmp_path: Path) -> None:
    ultra = {"input_cost_per_token_ultrafast": 1e-05, "output_cost_per_token_ultrafast": 1e-04}

    assert "ultrafast" in tiers(build(tmp_path, {"gpt-4.1-mini": MINI | ultra})["gpt-4.1-mini"])
    assert "ultrafast" not in tiers(
        build(tmp_path, {"gpt-4.1-mini": MINI | ultra | {"input_cost_per_token": 1}})["gpt-4.1-mini"]
    )


def test_what_does_not_chat_or_has_no_price_is_left_out(tmp_path: Path) -> None:
    models = build(
        tmp_path,
        {
            "toy-embed": MINI | {"mode": "embedding"},
            "toy-free": MINI | {"input_cost_per_token": 0, "output_cost_per_token": 0},
            "toy-unpriced": {"litellm_provider": "openai", "mode": "chat"},
            "toy": MINI,
        },
    )

    assert [name for name in models if name.startswith("toy")] == ["toy"]


@pytest.mark.parametrize(
    ("usd", "units", "nanos"),
    [("0.4", 1_000_000, 400_000_000), ("25", 1_000, 25 * 10**12), ("0.0833333333333333", 1_000_000, None)],
)
def test_a_price_is_never_rounded(usd: str, units: int, nanos: int | None) -> None:
    assert nanos_per_million(Decimal(usd), units=units) == nanos
