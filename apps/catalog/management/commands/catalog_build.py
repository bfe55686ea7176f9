from argparse import ArgumentParser
from datetime import date
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from apps.catalog import bundles


class Command(BaseCommand):
    help = (
        "For development: build the bundle of the image from the packages genai-prices (installed) and litellm "
        "(`pip download --no-deps litellm`). The same packages and date give the same file."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--litellm-wheel", type=Path, required=True)
        parser.add_argument("--date", type=date.fromisoformat, required=True, help="The day on which the sources hold.")
        parser.add_argument("--output", type=Path, default=bundles.IMAGE_BUNDLE)

    def handle(self, *, litellm_wheel: Path, date: date, output: Path, **options: object) -> None:
        # Imported here: genai-prices is a development dependency, absent from the image.
        from apps.catalog.building import genai, litellm, merging

        try:
            bundle, notes = merging.build(genai.Prices(), litellm.Models(litellm_wheel), on=date)
        except (OSError, ValueError) as error:
            raise CommandError(f"No bundle was written: {error}.") from error
        bundles.write(bundle, output)
        bundles.read(output)
        self.stderr.write("\n".join(notes))
        self.stdout.write(f"{len(bundle.models)} models, {bundle.version} → {output}")
