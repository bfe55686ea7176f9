"""Admin pages of tables that grow with traffic: nothing here counts them, sorts them, or reads them all."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db.models import Field, Q, QuerySet
from django.http import HttpRequest

from spendra.kernel.governed_admin import ReadOnlyAdmin
from spendra.kernel.keyset_admin import KeysetChangeList


class BigTable(ReadOnlyAdmin):
    """A search compares its term with the fields `sought`, whole: first with those that have an index; only where none
    of them can hold it, the next rows are looked through for the others."""

    # Fields and filters that an index serves, each with the columns in whose order it has the rows.
    indexed: ClassVar[Mapping[str, tuple[str, ...]]] = {"id": ("id",)}
    sought: ClassVar[tuple[str, ...]] = ("id",)
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return self.sought

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """None yet: the list calls `search` once it knows where its page begins."""
        return queryset, False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Not every column by every operator, as Django would: only what an index finds, and the filters shown."""
        shown = {getattr(offered, "parameter_name", offered) for offered in self.get_list_filter(request)}
        return lookup.removesuffix("__exact") in {*self.indexed, *shown}

    def search(self, rows: QuerySet[Any], term: str, *, most: int) -> tuple[QuerySet[Any], bool]:
        """The rows that a term finds, no more than `most` being needed, and whether by an index."""
        matches = {name: value for name in self.sought if (value := self.value_of(name, term)) is not None}
        indexed = [Q((name, value)) for name, value in matches.items() if name in self.indexed]
        if indexed or not matches:
            return first_by_index(rows, indexed, most=most), True
        return rows.filter(Q(*matches.items(), _connector=Q.OR)), False

    def value_of(self, name: str, term: str) -> object:
        """The term as a field holds it; None where it cannot."""
        field = self.opts.get_field(name)
        assert isinstance(field, Field)
        try:
            value: object = field.to_python(term)
        except ValidationError:
            return None
        return value


def first_by_index(rows: QuerySet[Any], conditions: list[Q], *, most: int) -> QuerySet[Any]:
    """One condition after the other, each by its own index: for an OR with an order Postgres may read everything."""
    found: set[object] = set()
    for condition in conditions:
        found.update(rows.filter(condition).values_list("pk", flat=True)[:most])
    return rows.filter(pk__in=found)
