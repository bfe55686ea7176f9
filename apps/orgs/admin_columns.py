"""What admin pages say of rows that carry the ids of organizations and units without foreign keys."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest

from apps.orgs.models import Organization, Unit

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = object

_MOST_OFFERED = 200
_NIL = UUID(int=0)


class OrganizationFilter(admin.SimpleListFilter):
    title = "organization"
    parameter_name = "organization"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: type[Model], model_admin: Any) -> None:
        self._column = getattr(model_admin, "organization_id_column", "organization_id")
        super().__init__(request, params, model, model_admin)

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        organizations = Organization.objects.order_by("slug").values_list("id", "slug")[:_MOST_OFFERED]
        nil_means = getattr(model_admin, "nil_means", "")
        return [*([(str(_NIL), nil_means)] if nil_means else []), *((str(id), slug) for id, slug in organizations)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        try:
            return queryset.filter(**{self._column: UUID(self.value() or "")})
        except ValueError:
            return queryset


class OrganizationColumn(_ModelAdmin):
    """The column `organization`: its slug, which never changes; the id of one that is gone."""

    organization_id_column = "organization_id"
    # Whose rows have the nil UUID, where a table has such rows.
    nil_means = ""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        slugs = Organization.objects.filter(id=OuterRef(self.organization_id_column)).values("slug")
        rows: QuerySet[Any] = super().get_queryset(request).annotate(organization_slug=Subquery(slugs))
        return rows

    @admin.display
    def organization(self, row: Any) -> str | None:
        id = getattr(row, self.organization_id_column)
        return row.organization_slug or (self.nil_means if id == _NIL else id and str(id))


def named_scopes(ids: list[UUID]) -> str:
    """The names behind the ids of a scope set, in its order; an id whose unit is gone stays an id."""
    names: dict[UUID, str] = {id: str(unit) for id, unit in Unit.objects.in_bulk(ids).items()}
    names |= {id: f"organization {found}" for id, found in Organization.objects.in_bulk(ids).items()}
    return ", ".join(names.get(id, str(id)) for id in ids)
