from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from apps.catalog import bundles
from spendra.kernel.commands import Json, JsonCommand
from spendra.kernel.errors import Invalid


class Command(JsonCommand):
    help = (
        "For development: build the bundle of the image from the packages genai-prices (installed) and litellm "
        "(`pip download --no-deps litellm`). The same packages and date give the same file."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--litellm-wheel", metavar="W", type=Path, required=True)
        parser.add_argument("--date", type=date.fromisoformat, required=True, help="The day on which the sources hold.")
        parser.add_argument("--output", metavar="F", type=Path, default=bundles.IMAGE_BUNDLE)

    def perform(self, **options: Any) -> Json:
        # Imported here: genai-prices is a development dependency, absent from the image.
        from apps.catalog.building import genai, litellm, merging

        output: Path = options["output"]
        try:
            listed = litellm.Models(options["litellm_wheel"])
            bundle, left_out = merging.build(genai.Prices(), listed, on=options["date"])
            bundles.write(bundle, output)
        except (OSError, ValueError) as error:
            raise Invalid(f"The bundle was not built: {error}.") from error
        bundles.read(output)
        return {"output": str(output), "version": bundle.version, "models": len(bundle.models), "left_out": left_out}

    def describe(self, result: Any) -> str:
        return "\n".join([*result["left_out"], f"{result['models']} models ({result['version']}) → {result['output']}"])
