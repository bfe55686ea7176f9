"""Admin pages of tables with millions of rows: nothing here counts them, sorts them, or reads them all."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest

from apps.orgs.models import Organization
from spendra.kernel.governed_admin import GovernedAdmin

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator

_MOST_LISTED = 10_000
_MOST_OFFERED = 200


class BoundedPaginator(_Paginator):
    """Pages reach this far; what lies beyond is found by filter and search."""

    @cached_property
    def count(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list)
        return min(rows[: _MOST_LISTED + 1].count(), _MOST_LISTED)


class OrganizationFilter(admin.SimpleListFilter):
    """For rows that carry their organization's id without a foreign key."""

    title = "organization"
    parameter_name = "organization"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        organizations = Organization.objects.order_by("slug").values_list("id", "slug")[:_MOST_OFFERED]
        return [(str(id), slug) for id, slug in organizations]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        found = _uuid(self.value() or "")
        return queryset.filter(organization_id=found) if found else queryset


class BigTableAdmin(GovernedAdmin):
    """`sought_ids` and `sought_texts` are the fields that a search term is compared with, whole."""

    paginator = BoundedPaginator
    ordering = ("-id",)
    sought_ids: tuple[str, ...] = ("id",)
    sought_texts: tuple[str, ...] = ()
    search_help_text = "A whole id, key id or model name."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        slugs = Organization.objects.filter(id=OuterRef("organization_id")).values("slug")
        rows: QuerySet[Any] = super().get_queryset(request).annotate(organization_slug=Subquery(slugs))
        return rows

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return (*self.sought_ids, *self.sought_texts)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        sought = self.sought_ids if (found := _uuid(term)) else self.sought_texts
        matches = [Q((name, found or term)) for name in sought]
        return (queryset.filter(Q(*matches, _connector=Q.OR)) if matches else queryset.none()), False

    @admin.display(description="organization")
    def organization(self, row: Model) -> str:
        return str(row.organization_slug or row.organization_id)  # type: ignore[attr-defined]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
