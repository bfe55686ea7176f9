"""Brings a bundle into the catalog: in one transaction, in bulk, as often as one likes."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from django.db import connection, transaction

from apps.audit.recording import record
from apps.catalog.bundles import IMAGE_BUNDLE, Bundle, BundleModel, PriceLine, read
from apps.catalog.models import CatalogModel, ModelAlias, Price, PriceVersion
from apps.catalog.stored import StoredPrices, stored_prices
from apps.catalog.timelines import first_instant, missing
from apps.catalog.types import LoadReport

IMAGE = "bundle"
OFFLINE = "offline_bundle"
_BATCH = 1_000
_LIMITS = ("context_window", "max_output_tokens", "retired_on")


def load_bundle(bundle: Bundle, *, source: str, acting: str) -> LoadReport:
    """Adds the models, aliases and prices that the catalog lacks; loading it again changes nothing.

    A bundle speaks of the time from its date on. Where it says something else than the catalog, new price versions are
    added; none is ever changed, and no organization's own price is touched. A model whose newest price comes from a
    source of a later date keeps its prices and limits. Locks the catalog against other loads, not against readers.
    """
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE catalog_catalogmodel IN SHARE ROW EXCLUSIVE MODE")
        report = _Load(bundle, source).run()
        if report.has_changes:
            record(
                organization_id=None,
                actor=acting,
                action="catalog.load",
                object_kind="catalog",
                object_id=bundle.version,
                after=asdict(report),
            )
    return report


def load_image_bundle() -> LoadReport | None:
    """Loads the bundle that the image carries; None where it, or a later one, was loaded before."""
    bundle = read(IMAGE_BUNDLE)
    if PriceVersion.objects.filter(source=IMAGE, source_date__gte=bundle.date).exists():
        return None
    return load_bundle(bundle, source=IMAGE, acting="command:migrate")


class _Load:
    def __init__(self, bundle: Bundle, source: str) -> None:
        self._bundle = bundle
        self._source = source
        self._from = first_instant(bundle.date)
        self._models = {(model.provider, model.name): model for model in CatalogModel.objects.all()}
        self._aliases = {(alias.provider, alias.alias): alias for alias in ModelAlias.objects.all()}
        self._stored = stored_prices()
        self._new_models: list[CatalogModel] = []
        self._changed_models: list[CatalogModel] = []
        self._new_aliases: list[ModelAlias] = []
        self._changed_aliases: list[ModelAlias] = []
        self._versions: list[PriceVersion] = []
        self._prices: list[Price] = []
        self._newer_here = 0

    def run(self) -> LoadReport:
        for model in self._with_twins():
            self._take(model)
        CatalogModel.objects.bulk_create(self._new_models, batch_size=_BATCH)
        CatalogModel.objects.bulk_update(self._changed_models, [*_LIMITS, "source"], batch_size=_BATCH)
        ModelAlias.objects.bulk_create(self._new_aliases, batch_size=_BATCH)
        ModelAlias.objects.bulk_update(self._changed_aliases, ["model"], batch_size=_BATCH)
        PriceVersion.objects.bulk_create(self._versions, batch_size=_BATCH)
        Price.objects.bulk_create(self._prices, batch_size=_BATCH)
        return LoadReport(
            version=self._bundle.version,
            models_added=len(self._new_models),
            models_changed=len(self._changed_models),
            aliases_added=len(self._new_aliases) + len(self._changed_aliases),
            price_versions_added=len(self._versions),
            models_newer_here=self._newer_here,
        )

    def _with_twins(self) -> Iterator[BundleModel]:
        """An alias that is a model of its own here, which goes before any alias, is brought up to date as one."""
        for model in self._bundle.models:
            twins = [alias for alias in model.aliases if (model.provider, alias) in self._models]
            yield replace(model, aliases=tuple(alias for alias in model.aliases if alias not in twins))
            yield from (replace(model, name=twin, aliases=()) for twin in twins)

    def _take(self, told: BundleModel) -> None:
        model = self._models.get((told.provider, told.name))
        if model is None:
            model = CatalogModel(provider=told.provider, name=told.name, source=self._source, **_limits(told))
            self._new_models.append(model)
        stored = self._stored.get(model.id)
        if stored is not None and stored.source_date > self._bundle.date:
            self._newer_here += 1
        else:
            self._take_limits(model, told)
            self._take_prices(model, told, stored)
        for alias in told.aliases:
            self._take_alias(model, alias)

    def _take_limits(self, model: CatalogModel, told: BundleModel) -> None:
        limits = _limits(told)
        if any(getattr(model, name) != value for name, value in limits.items()):
            for name, value in limits.items():
                setattr(model, name, value)
            model.source = self._source
            self._changed_models.append(model)

    def _take_prices(self, model: CatalogModel, told: BundleModel, stored: StoredPrices | None) -> None:
        newest = stored.number if stored else 0
        added = missing(told.prices[::-1], stored.newest_first, self._from) if stored else told.prices
        for number, dated in enumerate(added, start=newest + 1):
            version = PriceVersion(
                model=model,
                version=number,
                effective_from=dated.effective_from,
                source=self._source,
                source_date=self._bundle.date,
            )
            self._versions.append(version)
            self._prices += [_price(version, line) for line in dated.lines]

    def _take_alias(self, model: CatalogModel, name: str) -> None:
        alias = self._aliases.get((model.provider, name))
        if alias is None:
            self._new_aliases.append(ModelAlias(provider=model.provider, alias=name, model=model))
        elif alias.model_id != model.id:
            alias.model = model
            self._changed_aliases.append(alias)


def _limits(told: BundleModel) -> dict[str, Any]:
    return {name: getattr(told, name) for name in _LIMITS}


def _price(version: PriceVersion, line: PriceLine) -> Price:
    return Price(
        version=version,
        usage_class=line.usage_class,
        service_tier=line.tier,
        context_over_tokens=line.over_tokens,
        nanos_per_million=line.nanos_per_million,
    )
