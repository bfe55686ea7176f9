"""catalog_export and catalog_import: the same catalog on the other side, or one sentence and no change at all."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.catalog import bundles, loading
from apps.catalog.bundles import EVER_SINCE
from apps.catalog.models import CatalogModel, PriceVersion
from apps.catalog.types import CatalogSnapshot
from tests.catalog.entries import NOW, bundle, model, plain, snapshot
from tests.databases import Copies, Database


def run(command: str, **options: Any) -> dict[str, Any]:
    out = StringIO()
    call_command(command, json=True, stdout=out, **options)
    result = json.loads(out.getvalue())
    assert isinstance(result, dict)
    return result


def contents(catalog: CatalogSnapshot) -> dict[tuple[str, str], object]:
    return {
        name: (entry.model, entry.context_window, entry.max_output_tokens, sorted(entry.versions[0].lines.split("\n")))
        for name, entry in catalog.entries.items()
    }


def test_an_export_brings_another_installation_to_the_same_catalog(database: Database, tmp_path: Path) -> None:
    later = NOW.replace(year=2028)
    loading.load_bundle(bundle(model(prices={EVER_SINCE: plain(1), later: plain(2)})), source="sync", acting="test")
    exported = contents(snapshot(database))

    run("catalog_export", output=tmp_path / "catalog.json")
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE catalog_price, catalog_priceversion, catalog_modelalias, catalog_catalogmodel")
    report = run("catalog_import", input=tmp_path / "catalog.json")

    assert report["models_added"] == CatalogModel.objects.count()
    assert contents(snapshot(database)) == exported
    assert set(PriceVersion.objects.values_list("source", flat=True)) == {"offline_bundle"}


def test_importing_what_was_exported_here_changes_nothing(database: Database, tmp_path: Path) -> None:
    run("catalog_export", output=tmp_path / "catalog.json")

    report = run("catalog_import", input=tmp_path / "catalog.json")

    assert {name: count for name, count in report.items() if count} == {"version": report["version"]}


def test_the_database_can_be_named(database: Database, database_copies: Copies, tmp_path: Path) -> None:
    elsewhere = database_copies.take()
    loading.load_bundle(bundle(model()), source="sync", acting="test")
    run("catalog_export", output=tmp_path / "catalog.json", database_url=database.url)

    report = run("catalog_import", input=tmp_path / "catalog.json", database_url=elsewhere.url)

    assert report["models_added"] == 1
    assert snapshot(elsewhere).resolve("openai", "toy") is not None
    database_copies.give_back(elsewhere)


def test_a_database_url_that_is_none_is_refused_without_repeating_it(database: Database, tmp_path: Path) -> None:
    for url in ("mysql://root:secret@host/name", "postgresql://", "secret"):
        with pytest.raises(CommandError, match="--database-url is not like postgresql://") as refused:
            run("catalog_export", output=tmp_path / "catalog.json", database_url=url)
        assert "secret" not in str(refused.value)


def test_a_bad_bundle_is_refused_and_changes_nothing(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "catalog.json"
    bundles.write(bundle(model("good"), model("bad", aliases=("bad",))), path)
    before = (CatalogModel.objects.count(), PriceVersion.objects.count())

    with pytest.raises(CommandError, match="names openai/bad 2 times"):
        run("catalog_import", input=path)

    assert (CatalogModel.objects.count(), PriceVersion.objects.count()) == before


def test_a_file_that_is_not_there_is_refused(database: Database, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"nothing\.json cannot be read: No such file"):
        run("catalog_import", input=tmp_path / "nothing.json")
    with pytest.raises(CommandError, match="cannot be written: No such file"):
        run("catalog_export", output=tmp_path / "no" / "where.json")
