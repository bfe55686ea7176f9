from django.db import models

from apps.orgs.models import Organization
from spendra.kernel.ids import uuid7


class CatalogModel(models.Model):
    """A model that can be bought from a provider. `name` is the id the provider's API takes."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    provider = models.CharField(max_length=40)
    name = models.CharField(max_length=200)
    context_window = models.PositiveIntegerField(null=True, blank=True, help_text="Tokens of input and output.")
    max_output_tokens = models.PositiveIntegerField(null=True, blank=True)
    retired_on = models.DateField(null=True, blank=True)
    source = models.CharField(max_length=60)

    class Meta:
        verbose_name = "model"
        ordering = ("provider", "name")
        constraints = (models.UniqueConstraint(fields=("provider", "name"), name="catalog_model_once"),)

    def __str__(self) -> str:
        return f"{self.provider}/{self.name}"


class ModelAlias(models.Model):
    """Another id of the same model: a dated release or a provider's short name."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    provider = models.CharField(max_length=40)
    alias = models.CharField(max_length=200)
    model = models.ForeignKey(CatalogModel, on_delete=models.PROTECT, related_name="aliases")

    class Meta:
        verbose_name_plural = "model aliases"
        ordering = ("provider", "alias")
        constraints = (models.UniqueConstraint(fields=("provider", "alias"), name="catalog_alias_once"),)

    def __str__(self) -> str:
        return f"{self.provider}/{self.alias}"


class PriceVersion(models.Model):
    """The prices of a model from an instant on. Never changed: a new price is a new version.

    With an organization it is that organization's own price, set by an admin, and goes before the catalog's.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    model = models.ForeignKey(CatalogModel, on_delete=models.PROTECT, related_name="price_versions")
    version = models.PositiveIntegerField()
    effective_from = models.DateTimeField()
    source = models.CharField(max_length=60, help_text="bundle, offline_bundle, sync, admin")
    source_date = models.DateField(help_text="The day on which the source said so.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("model", "-version")
        constraints = (
            models.UniqueConstraint(
                fields=("organization", "model", "version"), nulls_distinct=False, name="price_version_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.model} v{self.version}"


class UsageClass(models.TextChoices):
    """What a provider bills apart. Each unit is counted in exactly one class."""

    INPUT = "input"
    CACHED_INPUT = "cached_input"
    CACHE_WRITE_5M = "cache_write_5m"
    CACHE_WRITE_1H = "cache_write_1h"
    OUTPUT = "output"
    REASONING = "reasoning"
    AUDIO_INPUT = "audio_input"
    CACHED_AUDIO_INPUT = "cached_audio_input"
    AUDIO_OUTPUT = "audio_output"
    IMAGE_INPUT = "image_input"
    IMAGE_OUTPUT = "image_output"
    REQUEST = "request"
    WEB_SEARCH = "web_search"


class Price(models.Model):
    """One line of a price version: nano-USD per million units of a usage class.

    The row with the largest `context_over_tokens` below the request's input tokens counts, for the whole request.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.ForeignKey(PriceVersion, on_delete=models.PROTECT, related_name="prices")
    usage_class = models.CharField(max_length=30, choices=UsageClass)
    service_tier = models.CharField(max_length=30, default="standard")
    context_over_tokens = models.PositiveIntegerField(default=0)
    nanos_per_million = models.BigIntegerField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("version", "usage_class", "service_tier", "context_over_tokens"), name="price_line_once"
            ),
            models.CheckConstraint(
                condition=models.Q(nanos_per_million__gte=0, nanos_per_million__lte=10**18), name="price_in_range"
            ),
        )

    def __str__(self) -> str:
        return f"{self.usage_class} {self.nanos_per_million}"
