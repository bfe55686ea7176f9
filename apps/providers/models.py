from django.db import models

from apps.orgs.models import Organization
from spendra.kernel.ids import uuid7


class ProviderAccount(models.Model):
    """An organization's credential at a provider. The secret itself is never stored, only where it is kept."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="provider_accounts")
    provider = models.CharField(max_length=40)
    base_url = models.CharField(
        max_length=500, blank=True, help_text="Empty: the provider's own, or what OPENAI_BASE_URL and its siblings say."
    )
    credential_reference = models.CharField(max_length=500, help_text="env:NAME or file:/path")
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("provider",)
        constraints = (
            models.UniqueConstraint(
                fields=("organization", "provider"),
                condition=models.Q(archived_at=None),
                name="provider_account_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.provider} of {self.organization}"
