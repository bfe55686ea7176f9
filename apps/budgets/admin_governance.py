"""What gateways go by, and whether they live; registered in admin.py."""

from datetime import timedelta
from typing import Any

from django.contrib import admin

from apps.budgets.models import GatewayProcess, GovernanceChange
from apps.orgs.admin_columns import OrganizationColumn, OrganizationFilter
from spendra.kernel import clock
from spendra.kernel.big_table_admin import BigTable
from spendra.kernel.governed_admin import ReadOnlyAdmin

_UNSEEN_AFTER = timedelta(seconds=30)


class GatewayProcessAdmin(ReadOnlyAdmin):
    list_display = ("id", "seen_at", "alive")
    ordering = ("-seen_at",)

    @admin.display(boolean=True, description="seen in the last 30 seconds")
    def alive(self, process: GatewayProcess) -> bool:
        return process.seen_at > clock.now() - _UNSEEN_AFTER


class GovernanceVersionAdmin(OrganizationColumn, ReadOnlyAdmin):
    organization_id_column = "id"
    list_display = ("of", "token")
    ordering = ("id",)
    search_fields = ("id",)
    search_help_text = "An organization's id."
    fields = readonly_fields = ("of", "id", "token")

    @admin.display(description="rules of")
    def of(self, version: Any) -> str:
        return str(version.organization_slug or "everybody: the catalog and its prices")


class GovernanceChangeAdmin(OrganizationColumn, BigTable):
    nil_means = "everybody"
    list_display = ("seq", "changed_at", "table_name", "row", "organization")
    list_filter = (OrganizationFilter,)
    indexed = {"seq": ("seq",), "organization": ("seq",)}
    sought = ("seq", "table_name", "row_name", "token")
    search_help_text = "A whole number, table, row or token."
    fields = readonly_fields = (
        "seq", "organization", "table_name", "row", "token", "previous_token", "changed_at",
    )  # fmt: skip

    @admin.display
    def row(self, change: GovernanceChange) -> str:
        return change.row_name or "all there is"
