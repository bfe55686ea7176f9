from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.orgs import admin_forms
from apps.orgs.admin_columns import OrganizationFilter
from apps.orgs.models import Organization, Unit, UnitEdge
from spendra.kernel.governed_admin import GovernedAdmin, ReadOnlyAdmin

_MOST_SHOWN = 50


@admin.register(Organization)
class OrganizationAdmin(GovernedAdmin):
    list_display = ("slug", "name", "time_zone", "requires_cap", "suspended_at", "created_at")
    list_filter = (("suspended_at", admin.EmptyFieldListFilter), "requires_cap")
    search_fields = ("slug", "name", "id")
    fields = readonly_fields = (
        "id", "slug", "name", "time_zone", "week_begins", "year_begins", "default_output_tokens",
        "requires_cap", "suspended_at",
        "created_at",
    )  # fmt: skip
    audited_kind = "organization"
    creation = admin_forms.CreateOrganization
    acts = {
        "change": admin_forms.ChangeOrganization,
        "suspend": admin_forms.SuspendOrganization,
        "resume": admin_forms.ResumeOrganization,
    }

    @admin.display(description="week begins on")
    def week_begins(self, organization: Organization) -> str:
        return admin_forms.WEEKDAYS[organization.week_starts_on]

    @admin.display(description="fiscal year begins in")
    def year_begins(self, organization: Organization) -> str:
        return admin_forms.MONTHS[organization.fiscal_year_starts_month - 1]


@admin.register(Unit)
class UnitAdmin(GovernedAdmin):
    list_display = ("name", "kind", "organization", "belongs_to", "archived_at", "created_at")
    list_display_links = ("name",)
    list_filter = ("kind", ("archived_at", admin.EmptyFieldListFilter), OrganizationFilter)
    list_select_related = ("organization",)
    search_fields = ("name", "organization__slug", "id")
    fields = readonly_fields = (
        "id", "organization", "kind", "name", "belongs_to", "holds", "archived_at", "created_at",
    )  # fmt: skip
    audited_kind = "unit"
    creation = admin_forms.CreateUnit
    acts = {
        "move": admin_forms.MoveUnit,
        "rename": admin_forms.RenameUnit,
        "archive": admin_forms.ArchiveUnit,
        "restore": admin_forms.RestoreUnit,
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Unit]:
        return super().get_queryset(request).prefetch_related("parent_edges__parent")

    @admin.display(description="belongs to")
    def belongs_to(self, unit: Unit) -> str:
        return ", ".join(str(edge.parent) for edge in unit.parent_edges.all()) or "the organization"

    @admin.display(description="directly below it")
    def holds(self, unit: Unit) -> str:
        below = Unit.objects.filter(parent_edges__parent=unit)
        shown = list(below[:_MOST_SHOWN])
        told = ", ".join(map(str, shown)) or "nothing"
        return told if len(shown) < _MOST_SHOWN else f"{told}: {below.count()} in all"


@admin.register(UnitEdge)
class UnitEdgeAdmin(ReadOnlyAdmin):
    list_display = ("child", "parent", "organization")
    list_filter = (OrganizationFilter,)
    list_select_related = ("child", "parent", "organization")
    search_fields = ("child__name", "parent__name", "organization__slug")
