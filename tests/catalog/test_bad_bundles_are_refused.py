"""Whatever is wrong with a bundle, one sentence says it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.catalog import bundles
from spendra.kernel.errors import Invalid
from tests.catalog.entries import bundle, model


def changed(**fields: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda document: document | fields


def with_model(**fields: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda document: document | {"models": [document["models"][0] | fields]}


def with_lines(*lines: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    plain_lines = [["standard", "input", 0, 1], ["standard", "output", 0, 1]]
    return with_model(prices=[{"effective_from": None, "lines": [*plain_lines, *lines]}])


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (changed(schema=2), "has schema 2, and this version of Spendra reads schema 1"),
        (changed(date="soon"), "date is not written like 2026-01-31"),
        (changed(version=""), "version is not a text"),
        (changed(models={}), "models is not a JSON array"),
        (with_model(name=7), "name of a model is not a text"),
        (with_model(name="a\x00b"), "name of a model is not a text"),
        (with_model(name="n" * 201), "name of a model is not a text of 1 to 200"),
        (with_model(provider="Open AI"), "has the provider 'Open AI'"),
        (with_model(aliases=["toy"]), "names openai/toy 2 times"),
        (with_model(context_window=-1), "context_window is not a whole number"),
        (with_model(max_output_tokens=1.5), "max_output_tokens is not a whole number"),
        (with_model(prices=[{"effective_from": None, "lines": []}]), "lacks a standard price of input or output"),
        (with_model(prices=[{"effective_from": "2026-01-31T00:00:00", "lines": []}]), "lacks a standard price"),
        (with_lines(["standard", "input", 0, 1]), "names a price of one tier, class and size twice"),
        (with_lines(["standard", "tea", 0, 1]), "has a price for 'tea'"),
        (with_lines(["auto", "input", 0, 1]), "service tier 'auto'"),
        (with_lines(["flex", "input", 0]), "is not \\[tier, usage class"),
        (with_lines(["flex", "input", 0, 10**18 + 1]), "the price of input is not a whole number"),
        (with_lines(["flex", "input", 0, 0.1]), "the price of input is not a whole number"),
        (with_lines(["flex", "input", 0, True]), "the price of input is not a whole number"),
    ],
)
def test_a_bad_bundle_is_refused_in_one_sentence(
    tmp_path: Path, damage: Callable[[dict[str, Any]], dict[str, Any]], sentence: str
) -> None:
    path = tmp_path / "catalog.json"
    bundles.write(bundle(model()), path)
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))

    with pytest.raises(Invalid, match=sentence) as refused:
        bundles.read(path)

    assert "\n" not in refused.value.message


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "catalog.json").write_bytes(content)

    with pytest.raises(Invalid, match="is not JSON"):
        bundles.read(tmp_path / "catalog.json")
