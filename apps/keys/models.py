from django.db import models

from apps.orgs.models import Organization, Unit
from spendra.kernel.ids import uuid7


class EnvironmentLabel(models.TextChoices):
    """The client's own environment: a selector for rules, no security boundary."""

    PRODUCTION = "production"
    STAGING = "staging"
    DEVELOPMENT = "development"


class Key(models.Model):
    """What a client presents: `spk_live_<key_id>_<secret>`. Only the SHA-256 of the secret is kept."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="keys")
    actor = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="keys")
    project = models.ForeignKey(
        Unit, null=True, blank=True, on_delete=models.PROTECT, related_name="bound_keys",
        help_text="Spend of this key also counts for this project.",
    )  # fmt: skip
    key_id = models.CharField(max_length=40, unique=True)
    secret_sha256 = models.BinaryField(max_length=32)
    environment_label = models.CharField(max_length=20, choices=EnvironmentLabel, default=EnvironmentLabel.DEVELOPMENT)
    max_reservation_nanos = models.BigIntegerField(null=True, blank=True)
    default_output_tokens = models.PositiveIntegerField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(environment_label__in=EnvironmentLabel.values), name="key_environment_known"
            ),
        )

    def __str__(self) -> str:
        return self.key_id


class Grant(models.Model):
    """A model that a key may use, as `provider/model`; `*` stands for any run of characters in either half."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    key = models.ForeignKey(Key, on_delete=models.PROTECT, related_name="grants")
    pattern = models.CharField(max_length=240)

    class Meta:
        ordering = ("pattern",)
        constraints = (models.UniqueConstraint(fields=("key", "pattern"), name="grant_once"),)

    def __str__(self) -> str:
        return self.pattern
