"""Admin lists that read a bounded stretch of a table with millions of rows, however deep one pages.

Each page begins where the one before ended, so that nothing is counted, sorted or skipped on the way. What no index
finds is looked for in the next `MOST_LOOKED_AT` rows only; from there one may look further back.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import IGNORED_PARAMS, ChangeList
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

if TYPE_CHECKING:
    from spendra.kernel.big_table_admin import BigTable

MOST_LOOKED_AT = 10_000
_BEFORE = "before"
_Place = tuple[Any, ...]  # what a row has in the columns of an order


@dataclass(frozen=True, slots=True)
class _NewestFirst:
    """Down the columns of an index, of which the last tells rows apart."""

    model: type[Model]
    columns: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        return [f"-{column}" for column in self.columns]

    def of(self, row: Any) -> _Place:
        return tuple(getattr(row, column) for column in self.columns)

    def after(self, place: _Place) -> Q:
        return self._on_one_side(place, "lt", "lte")

    def down_to(self, place: _Place) -> Q:
        return self._on_one_side(place, "gte", "gte")

    def _on_one_side(self, place: _Place, last: str, range_of_first: str) -> Q:
        """Of two columns the first is named once more, alone: that is a range of the index, the rest is none."""
        condition = Q((f"{self.columns[-1]}__{last}", place[-1]))
        for column, value in list(zip(self.columns, place, strict=True))[-2::-1]:
            strictly = range_of_first.removesuffix("e")
            tied = Q((column, value)) & condition
            condition = Q((f"{column}__{range_of_first}", value)) & (Q((f"{column}__{strictly}", value)) | tied)
        return condition

    def write(self, place: _Place) -> str:
        return ",".join(value.isoformat() if hasattr(value, "isoformat") else str(value) for value in place)

    def read(self, text: str) -> _Place:
        fields = [field for field in self.model._meta.fields if field.name in self.columns]
        fields.sort(key=lambda field: self.columns.index(field.name))
        try:
            return tuple(field.to_python(part) for field, part in zip(fields, text.split(","), strict=True))
        except (ValidationError, ValueError) as error:
            raise IncorrectLookupParameters(error) from error


class KeysetChangeList(ChangeList):
    model_admin: "BigTable"
    older_url: str | None
    newest_url: str | None
    looked_at: int | None  # where a page ends because it looked no further: how many rows that were

    def get_queryset(self, request: HttpRequest, exclude_parameters: list[str | None] | None = None) -> QuerySet[Any]:
        self.params.pop(_BEFORE, None)
        self._begins_after = self.filter_params.pop(_BEFORE, [""])[-1]
        return super().get_queryset(request, exclude_parameters)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Only as an index has the rows, whatever a URL asks for."""
        return self._order.names

    def get_results(self, request: HttpRequest) -> None:
        rows, is_found_by_index = self._asked()
        floor = None if is_found_by_index else self._floor(request)
        if floor is not None:
            rows = rows.filter(self._order.down_to(floor))
        found = list(rows[: self.list_per_page + 1])
        is_full = len(found) > self.list_per_page
        self.result_list = found[: self.list_per_page]
        ends_at = self._order.of(self.result_list[-1]) if is_full else floor
        self.older_url = self.get_query_string({_BEFORE: self._order.write(ends_at)}) if ends_at else None
        self.newest_url = self.get_query_string() if self._begins_after else None
        self.looked_at = MOST_LOOKED_AT if floor and not is_full else None
        self._say_what_django_asks()

    def _say_what_django_asks(self) -> None:
        self.result_count, self.full_result_count = len(self.result_list), None
        self.show_full_result_count = self.show_admin_actions = self.can_show_all = self.multi_page = False
        self.paginator = Paginator(self.result_list, self.list_per_page)

    @property
    def _filters(self) -> list[str]:
        """Those in use, by the name of what they are about."""
        return [name.partition("__")[0] for name in self.filter_params if name not in IGNORED_PARAMS]

    @property
    def _order(self) -> _NewestFirst:
        indexed = self.model_admin.indexed
        columns = next((indexed[name] for name in self._filters if name in indexed), (self.model._meta.pk.name,))
        return _NewestFirst(self.model, columns)

    def _asked(self) -> tuple[QuerySet[Any], bool]:
        """The rows from where the page begins, and whether an index finds them."""
        rows = self._from_where_it_begins(self.queryset)
        if term := self.query.strip():
            return self.model_admin.search(rows, term, most=self.list_per_page + 1)
        return rows, all(name in self.model_admin.indexed for name in self._filters)

    def _from_where_it_begins(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(self._order.after(self._order.read(self._begins_after))) if self._begins_after else rows

    def _floor(self, request: HttpRequest) -> _Place | None:
        """Where looking ends; None where the table ends before. Counted in an index, among what that index narrows."""
        rows = self.root_queryset
        for spec in self.filter_specs:
            if any(name in self.model_admin.indexed for name in spec.expected_parameters() or ()):
                narrowed = spec.queryset(request, rows)
                rows = rows if narrowed is None else narrowed
        rows = self._from_where_it_begins(rows).order_by(*self._order.names)
        return rows.values_list(*self._order.columns)[MOST_LOOKED_AT - 1 : MOST_LOOKED_AT].first()
