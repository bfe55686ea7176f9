from typing import Any

from django.core.management.base import CommandParser

from apps.catalog.models import Price
from apps.catalog.setting_prices import read_prices, set_price
from apps.catalog.types import USAGE_CLASSES
from apps.orgs.queries import organization_by_slug
from spendra.kernel.arguments import instant
from spendra.kernel.commands import JsonCommand
from spendra.kernel.money import format_usd


class Command(JsonCommand):
    help = (
        "Sets an organization's own price of a model: a new version, audited. Of two that have begun the one set last "
        "holds."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", metavar="PROVIDER/MODEL", help="Or an alias; a bare one is OpenAI's.")
        parser.add_argument("--organization", required=True, metavar="SLUG")
        parser.add_argument(
            "--price",
            action="append",
            required=True,
            dest="prices",
            metavar="CLASS=USD",
            help=f"USD a million units, such as input=0.40; input and output are needed. {', '.join(USAGE_CLASSES)}.",
        )
        parser.add_argument(
            "--effective-from", type=instant, metavar="INSTANT", help="The next request where left out."
        )
        parser.add_argument("--reason", default="", help="Kept in the audit record.")

    def perform(self, **options: Any) -> dict[str, object]:
        version = set_price(
            organization=organization_by_slug(options["organization"]),
            model=options["model"],
            nanos_per_million=read_prices(options["prices"]),
            effective_from=options["effective_from"],
            acting="command:price_set",
            reason=options["reason"],
        )
        return {
            "price_version_id": str(version.id),
            "organization": options["organization"],
            "model": str(version.model),
            "version": version.version,
            "effective_from": version.effective_from.isoformat(),
            "nanos_per_million": {
                price.usage_class: str(price.nanos_per_million) for price in Price.objects.filter(version=version)
            },
        }

    def describe(self, result: Any) -> str:
        prices = ", ".join(f"{name} {format_usd(int(nanos))}" for name, nanos in result["nanos_per_million"].items())
        return (
            f"{result['organization']} pays for {result['model']}, from {result['effective_from']} on, "
            f"in USD a million: {prices}."
        )
