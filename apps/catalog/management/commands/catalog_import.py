from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from apps.catalog import bundles, loading
from apps.catalog.management.database_option import add_database_url, use_database
from spendra.kernel.commands import Json, JsonCommand


class Command(JsonCommand):
    help = "Bring a file made by catalog_export into the catalog. Doing it again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--input", metavar="F", type=Path, required=True)
        add_database_url(parser)

    def perform(self, **options: Any) -> Json:
        use_database(options["database_url"])
        bundle = bundles.read(options["input"])
        return asdict(loading.load_bundle(bundle, source=loading.OFFLINE, acting="command:catalog_import"))

    def describe(self, result: Any) -> str:
        left_alone = result["models_newer_here"]
        return (
            f"{result['version']}: {result['models_added']} models added, {result['models_changed']} changed, "
            f"{result['aliases_added']} aliases, {result['price_versions_added']} price versions"
            + (f"; {left_alone} models have newer prices here and kept them" if left_alone else "")
        )
