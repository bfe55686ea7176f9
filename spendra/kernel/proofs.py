"""What the verify commands have in common: statements that select the rows which differ from what others say."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection


@dataclass(frozen=True, slots=True)
class Difference:
    check: str
    object_id: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.check}  {self.object_id}  is {self.found}, should be {self.expected}"


def differences(statement: str, parameters: Mapping[str, Any]) -> Iterator[Difference]:
    """Of a statement whose columns are those of a difference."""
    for row in rows(statement, parameters):
        yield Difference(*map(str, row))


def rows(statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
