"""The catalog of this installation as a bundle, for one that reaches no network."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max

from apps.catalog.bundles import EVER_SINCE, Bundle, BundleModel, DatedPrices
from apps.catalog.models import CatalogModel, ModelAlias, PriceVersion
from apps.catalog.stored import stored_prices
from apps.catalog.timelines import first_instant, from_then_on
from spendra.kernel.errors import NotFound


def export_bundle() -> Bundle:
    """The prices that hold on the day of the newest source, and every later change known; dated that day.

    Organizations' own prices stay at home. NotFound where the catalog is empty. Reads one state of the database.
    """
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        newest = PriceVersion.objects.filter(organization=None).aggregate(Max("source_date"))["source_date__max"]
        if newest is None:
            raise NotFound("The catalog of this database is empty: run `manage.py migrate` first.")
        return Bundle(
            version=f"{newest.isoformat()} export",
            date=newest,
            sources={"export": newest.isoformat()},
            models=tuple(_models(first_instant(newest))),
        )


def _models(start: datetime) -> Iterator[BundleModel]:
    prices = stored_prices()
    names = set(CatalogModel.objects.values_list("provider", "name"))
    aliases: dict[UUID, list[str]] = defaultdict(list)
    for provider, alias, model_id in ModelAlias.objects.values_list("provider", "alias", "model_id"):
        if (provider, alias) not in names:
            aliases[model_id].append(alias)
    for model in CatalogModel.objects.all():
        if stored := prices.get(model.id):
            yield _bundled(model, aliases[model.id], from_then_on(stored.newest_first, start), start)


def _bundled(model: CatalogModel, aliases: list[str], changes: list[DatedPrices], start: datetime) -> BundleModel:
    """What holds at the start is exported as holding ever since: an importer has no use for what held before."""
    dated = [replace(item, effective_from=EVER_SINCE) if item.effective_from == start else item for item in changes]
    return BundleModel(
        provider=model.provider,
        name=model.name,
        aliases=tuple(sorted(aliases)),
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
        retired_on=model.retired_on,
        prices=tuple(dated),
    )
