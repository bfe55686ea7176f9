"""Lists and search. Prices come from bundles and use cases, so nothing is added, changed or deleted here."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.catalog.models import CatalogModel, ModelAlias, PriceVersion
from spendra.kernel.money import format_usd

if TYPE_CHECKING:
    ReadOnlyBase = admin.ModelAdmin[Any]
else:
    ReadOnlyBase = admin.ModelAdmin


class ReadOnlyAdmin(ReadOnlyBase):
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(CatalogModel)
class CatalogModelAdmin(ReadOnlyAdmin):
    list_display = ("name", "provider", "context_window", "max_output_tokens", "retired_on", "source")
    list_filter = ("provider", "source")
    search_fields = ("name", "aliases__alias")
    readonly_fields = ("alias_names",)

    @admin.display(description="aliases")
    def alias_names(self, model: CatalogModel) -> str:
        return ", ".join(model.aliases.values_list("alias", flat=True)) or "none"


@admin.register(ModelAlias)
class ModelAliasAdmin(ReadOnlyAdmin):
    list_display = ("alias", "provider", "model")
    list_filter = ("provider",)
    list_select_related = ("model",)
    search_fields = ("alias", "model__name")


@admin.register(PriceVersion)
class PriceVersionAdmin(ReadOnlyAdmin):
    list_display = ("model", "version", "organization", "effective_from", "standard_price", "source", "source_date")
    list_filter = ("source", "model__provider")
    list_select_related = ("model", "organization")
    search_fields = ("model__name", "model__aliases__alias", "organization__slug")
    readonly_fields = ("all_prices",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceVersion]:
        return super().get_queryset(request).prefetch_related("prices")

    @admin.display(description="input / output, USD a million tokens")
    def standard_price(self, version: PriceVersion) -> str:
        plain = {
            price.usage_class: format_usd(price.nanos_per_million)
            for price in version.prices.all()
            if (price.service_tier, price.context_over_tokens) == ("standard", 0)
        }
        return f"{plain.get('input', 'none')} / {plain.get('output', 'none')}"

    @admin.display(description="prices, USD a million units")
    def all_prices(self, version: PriceVersion) -> SafeString:
        return format_html_join("", "<div>{}: {}, over {} tokens: {}</div>", _price_rows(version))


def _price_rows(version: PriceVersion) -> Iterable[tuple[str, str, int, str]]:
    prices = version.prices.order_by("service_tier", "usage_class", "context_over_tokens")
    return [
        (
            price.service_tier,
            price.get_usage_class_display(),
            price.context_over_tokens,
            format_usd(price.nanos_per_million),
        )
        for price in prices
    ]
