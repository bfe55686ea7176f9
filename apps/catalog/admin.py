"""Lists and search. Prices come from bundles; an organization's own is set here. None is ever changed or deleted."""

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.catalog import admin_forms
from apps.catalog.bundles import EVER_SINCE
from apps.catalog.models import CatalogModel, ModelAlias, Price, PriceVersion
from spendra.kernel.governed_admin import GovernedAdmin, ReadOnlyAdmin
from spendra.kernel.money import format_usd


@admin.register(CatalogModel)
class CatalogModelAdmin(ReadOnlyAdmin):
    list_display = ("name", "provider", "context_window", "max_output_tokens", "retired_on", "source")
    list_filter = ("provider", ("retired_on", admin.EmptyFieldListFilter), "source")
    search_fields = ("name", "aliases__alias")
    search_help_text = "A part of a model's name or of an alias."
    fields = readonly_fields = (
        "id", "provider", "name", "alias_names", "versions", "context_window", "max_output_tokens", "retired_on",
        "source",
    )  # fmt: skip

    @admin.display(description="aliases")
    def alias_names(self, model: CatalogModel) -> str:
        return ", ".join(model.aliases.values_list("alias", flat=True)) or "none"

    @admin.display(description="price versions, newest first")
    def versions(self, model: CatalogModel) -> str:
        found = model.price_versions.select_related("organization").order_by("-effective_from", "-version")
        rows = [(version.version, _since(version), _whose(version)) for version in found]
        if not rows:
            return "none: requests for it are refused"
        return format_html_join("", "<div>version {}, from {}, for {}</div>", rows)


@admin.register(ModelAlias)
class ModelAliasAdmin(ReadOnlyAdmin):
    list_display = ("alias", "provider", "model")
    list_filter = ("provider",)
    list_select_related = ("model",)
    search_fields = ("alias", "model__name")
    search_help_text = "A part of an alias or of a model's name."


@admin.register(PriceVersion)
class PriceVersionAdmin(GovernedAdmin):
    list_display = ("model", "version", "since", "input_price", "output_price", "whose", "source")
    list_filter = ("source", "model__provider")
    list_select_related = ("model", "organization")
    search_fields = ("model__name", "model__aliases__alias", "organization__slug")
    search_help_text = "A part of a model's name, of an alias, or of an organization's."
    fields = readonly_fields = (
        "id", "model", "version", "whose", "effective_from", "all_prices", "source", "source_date", "created_at",
    )  # fmt: skip
    audited_kind = "price_version"
    creation = admin_forms.SetPrice

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceVersion]:
        standard = Price.objects.filter(service_tier="standard", context_over_tokens=0)
        return super().get_queryset(request).prefetch_related(Prefetch("prices", queryset=standard))

    @admin.display(description="in force from", ordering="effective_from")
    def since(self, version: PriceVersion) -> str:
        return _since(version)

    @admin.display(description="input, USD a million tokens")
    def input_price(self, version: PriceVersion) -> str | None:
        return _standard_price(version, "input")

    @admin.display(description="output, USD a million tokens")
    def output_price(self, version: PriceVersion) -> str | None:
        return _standard_price(version, "output")

    @admin.display(description="for")
    def whose(self, version: PriceVersion) -> str:
        return _whose(version)

    @admin.display(description="prices, USD a million units")
    def all_prices(self, version: PriceVersion) -> SafeString:
        prices = Price.objects.filter(version=version).order_by("service_tier", "usage_class", "context_over_tokens")
        rows = [
            (price.get_usage_class_display(), price.service_tier, price.context_over_tokens, _usd(price))
            for price in prices
        ]
        return format_html(
            '<table class="figures"><thead><tr><th scope="col">Usage</th><th scope="col">Service tier</th>'
            '<th scope="col" class="number">From more tokens than</th><th scope="col" class="number">USD</th></tr>'
            "</thead><tbody>{}</tbody></table>",
            format_html_join(
                "", '<tr><td>{}</td><td>{}</td><td class="number">{}</td><td class="number">{}</td></tr>', rows
            ),
        )


def _since(version: PriceVersion) -> str:
    return "the beginning" if version.effective_from <= EVER_SINCE else f"{version.effective_from:%Y-%m-%d}"


def _whose(version: PriceVersion) -> str:
    return str(version.organization or "everybody")


def _standard_price(version: PriceVersion, usage_class: str) -> str | None:
    return next((_usd(price) for price in version.prices.all() if price.usage_class == usage_class), None)


def _usd(price: Price) -> str:
    return format_usd(price.nanos_per_million)
