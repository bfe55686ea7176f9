from django.contrib import admin

from apps.orgs.admin_columns import OrganizationFilter
from apps.providers import admin_forms
from apps.providers.models import ProviderAccount
from spendra.kernel.governed_admin import GovernedAdmin


@admin.register(ProviderAccount)
class ProviderAccountAdmin(GovernedAdmin):
    list_display = ("provider", "organization", "address", "credential_reference", "archived_at", "created_at")
    list_filter = ("provider", ("archived_at", admin.EmptyFieldListFilter), OrganizationFilter)
    list_select_related = ("organization",)
    search_fields = ("provider", "base_url", "credential_reference", "organization__slug")
    fields = readonly_fields = (
        "id", "organization", "provider", "address", "credential_reference", "archived_at", "created_at",
    )  # fmt: skip
    audited_kind = "provider_account"
    creation = admin_forms.CreateAccount
    acts = {"change": admin_forms.ChangeAccount, "archive": admin_forms.ArchiveAccount}

    @admin.display(description="base URL")
    def address(self, account: ProviderAccount) -> str:
        return account.base_url or "the provider's own"
