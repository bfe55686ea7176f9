from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from apps.catalog import bundles, exporting
from apps.catalog.management.database_option import add_database_url, use_database
from spendra.kernel.commands import Json, JsonCommand
from spendra.kernel.errors import Invalid


class Command(JsonCommand):
    help = "Write the catalog of this installation to a file that catalog_import reads elsewhere."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", metavar="F", type=Path, required=True)
        add_database_url(parser)

    def perform(self, **options: Any) -> Json:
        use_database(options["database_url"])
        output: Path = options["output"]
        bundle = exporting.export_bundle()
        try:
            bundles.write(bundle, output)
        except OSError as error:
            raise Invalid(f"{output} cannot be written: {error.strerror}.") from error
        return {"output": str(output), "version": bundle.version, "models": len(bundle.models)}

    def describe(self, result: Any) -> str:
        return f"{result['models']} models ({result['version']}) → {result['output']}"
