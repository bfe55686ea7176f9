"""Admin pages of tables with millions of rows: nothing here counts them, sorts them, or reads them all."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.orgs.models import Organization, Unit
from spendra.kernel.governed_admin import ReadOnlyAdmin
from spendra.kernel.money import format_usd

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator

_MOST_LISTED = 10_000
_MOST_OFFERED = 200
_FIGURE_SPACE = "\u2007"


class BoundedPaginator(_Paginator):
    """Pages reach this far; what lies beyond is found by filter and search."""

    @cached_property
    def count(self) -> int:
        return min(self._reached, _MOST_LISTED)

    @property
    def is_cut(self) -> bool:
        return self._reached > _MOST_LISTED

    @cached_property
    def _reached(self) -> int:
        return cast("QuerySet[Any]", self.object_list)[: _MOST_LISTED + 1].count()


class OrganizationFilter(admin.SimpleListFilter):
    """For rows that carry their organization's id without a foreign key."""

    title = "organization"
    parameter_name = "organization"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        organizations = Organization.objects.order_by("slug").values_list("id", "slug")[:_MOST_OFFERED]
        return [(str(id), slug) for id, slug in organizations]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        found = as_uuid(self.value() or "")
        return queryset.filter(organization_id=found) if found else queryset


class BigTable(ReadOnlyAdmin):
    """A search term is compared with `sought_ids` and `sought_texts`, whole."""

    paginator = BoundedPaginator
    ordering = ("-id",)
    # A click on a header would sort everything; facets would count everything, once a choice of each filter.
    sortable_by = ()
    show_facets = admin.ShowFacets.NEVER
    sought_ids: tuple[str, ...] = ("id",)
    sought_texts: tuple[str, ...] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        slugs = Organization.objects.filter(id=OuterRef("organization_id")).values("slug")
        rows: QuerySet[Any] = super().get_queryset(request).annotate(organization_slug=Subquery(slugs))
        return rows

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return (*self.sought_ids, *self.sought_texts)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not (term := search_term.strip()):
            return queryset, False
        sought = self.sought_ids if (found := as_uuid(term)) else self.sought_texts
        matches = [Q((name, found or term)) for name in sought]
        return (queryset.filter(Q(*matches, _connector=Q.OR)) if matches else queryset.none()), False

    @admin.display(description="organization")
    def organization(self, row: Any) -> str:
        return str(row.organization_slug or row.organization_id)


def as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def usd_column(nanos: int) -> str:
    """Figure spaces fill the nine decimals, so that the points of a column stand below each other."""
    whole, _, fraction = format_usd(nanos).partition(".")
    return f"{whole}.{fraction.ljust(9, _FIGURE_SPACE)}"


def list_link(view: str, sought: object, text: object) -> SafeString:
    """To the rows of a list in which a search finds `sought`."""
    return format_html('<a href="{}?{}">{}</a>', reverse(f"admin:{view}_changelist"), urlencode({"q": sought}), text)


def row_link(view: str, row_id: object, text: object) -> SafeString:
    """To the page of one row."""
    return format_html('<a href="{}">{}</a>', reverse(f"admin:{view}_change", args=[row_id]), text)


def named_scopes(ids: list[UUID]) -> str:
    """The names behind the ids of a scope set, in its order; an id whose unit is gone stays an id."""
    names: dict[UUID, str] = {id: str(unit) for id, unit in Unit.objects.in_bulk(ids).items()}
    names |= {id: f"organization {found}" for id, found in Organization.objects.in_bulk(ids).items()}
    return ", ".join(names.get(id, str(id)) for id in ids)
