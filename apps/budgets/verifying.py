"""Proof that counters, reservations and entries agree, beside any traffic and on a ledger of any size.

Rows are walked in chunks, a short statement each: its one snapshot shows a settle whole or not at all, and is gone
before vacuum misses it. What a walk has found right and can't change any more is kept: the next run goes on from there.

- Reservations by id: what they refer to, and the entries of their end. Kept up to the oldest that is open; one that
  gets an entry later is proved again by the walk over entries.
- Spend events by id. Entries by organization and time, each with its reservation and its spend event.
- Periods. A sum over many statements has no snapshot of its own, but entries never change, and before a certain instant
  none can appear any more (BOUNDS in verifying_sql.py). So those before it are summed in chunks, and their sums kept;
  the last statement reads, in one snapshot, the counters, the sums, and the few entries since.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.budgets import verifying_sql as sql

# Each is looked up in other tables; or it is only read, and what it names is looked up once a chunk.
_ROWS, _MANY_ROWS = 10_000, 25_000
_NIL = UUID(int=0)

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Difference:
    check: str
    object_id: str
    found: str
    expected: str


@dataclass(frozen=True, slots=True)
class _Walk:
    name: str
    start: str
    size: int
    chunk: str
    checks: tuple[str, ...]


_REFERENCES = _Walk("references", str(_NIL), _MANY_ROWS, sql.RESERVATION_CHUNK, (sql.RESERVATION_REFERENCES,))
_RESERVATIONS = _Walk("reservations", str(_NIL), _ROWS, sql.RESERVATION_CHUNK, (sql.RESERVATIONS,))
_SPEND_EVENTS = _Walk("spend_events", str(_NIL), _ROWS, sql.SPEND_EVENT_CHUNK, (sql.SPEND_EVENTS,))
_ENTRIES = _Walk("entries", "1970-01-01T00:00:00Z", _ROWS, sql.ENTRY_CHUNK, (sql.ENTRIES, sql.RESERVATIONS_AGAIN))


def verify(*, full: bool = False, progress: Progress = lambda walk, rows: None) -> Iterator[Difference]:
    """Every row that differs from what the others say; none means that the books are right.

    Goes on where earlier runs have kept what they proved; `full` forgets that first. Whatever differs is kept by no
    run, so each reports it again. Takes no lock but on the kept sums; transactions of its own, one a chunk.
    """
    if full:
        _forget()
    # Entries after these bounds are proved now and again by the next run, which then sees how their reservations ended.
    bounds = _bounds()
    kept = _position(_RESERVATIONS, _NIL)
    for walk in (_REFERENCES, _RESERVATIONS, _SPEND_EVENTS):
        yield from _walk(walk, _NIL, bounds, progress)
    for organization in _organizations():
        yield from _walk(_ENTRIES, organization, {**bounds, "kept": kept, "until": "infinity"}, progress)
    yield from _compare_periods(progress)


def _walk(walk: _Walk, organization: UUID, bounds: dict[str, str], progress: Progress) -> Iterator[Difference]:
    chunk = {**bounds, "walk": walk.name, "organization": organization, "first": _position(walk, organization)}
    is_kept = True
    for rows, is_final in _chunks(walk.chunk, chunk, walk.size):
        found = [difference for check in walk.checks for difference in _differences(check, chunk)]
        yield from found
        is_kept = is_kept and is_final and not found
        if is_kept:
            _execute(sql.KEEP_POSITION, chunk)
        progress(walk.name, rows)


def _compare_periods(progress: Progress) -> Iterator[Difference]:
    _sum_up(progress)
    chunk: dict[str, Any] = {"first": 0}
    for (rows,) in _chunks(sql.PERIOD_CHUNK, chunk, _ROWS):
        _sum_up(progress)  # so that the entries since are few
        yield from _differences(sql.PERIODS, chunk, settings=sql.SETTINGS + sql.HASH_JOINS)
        yield from _differences(sql.PERIOD_REFERENCES, chunk)
        progress("periods", rows)
    _execute(sql.FORGET_GONE_PERIODS, {})


def _chunks(statement: str, chunk: dict[str, Any], size: int) -> Iterator[tuple[Any, ...]]:
    """Moves `chunk` on until one is not full: after that, traffic could go on adding a row for each that was read."""
    rows = size
    while rows == size and (ended := _rows(statement, {**chunk, "size": size})):
        chunk["last"], rows, *others = ended[0]
        yield rows, *others
        chunk["first"] = chunk["last"]


def _sum_up(progress: Progress) -> None:
    for organization in _organizations():
        rows = _MANY_ROWS
        while rows == _MANY_ROWS and (rows := _sum_chunk(organization)):
            progress("sums", rows)


def _sum_chunk(organization: UUID) -> int:
    """Adds one chunk of entries to the sums kept; returns how many. Runs at once take turns: the position is locked."""
    bounds = _bounds()
    chunk: dict[str, Any] = {**bounds, "walk": "sums", "organization": organization, "size": _MANY_ROWS}
    chunk["until"] = bounds["booked_before"]
    with _short_transaction() as cursor:
        cursor.execute(sql.LOCK_SUMS, chunk)
        chunk["first"] = cursor.fetchone()[0]
        cursor.execute(sql.ENTRY_CHUNK, chunk)
        if (ended := cursor.fetchone()) is None:
            return 0
        chunk["last"], rows, _ = ended
        cursor.execute(sql.SUM_UP, chunk)
        cursor.execute(sql.KEEP_POSITION, chunk)
    return int(rows)


def _organizations() -> Iterator[UUID]:
    """Those that have entries, whether they exist or not."""
    organization = _NIL
    while found := _rows(sql.NEXT_ORGANIZATION, {"first": organization}):
        organization = found[0][0]
        yield organization


def _bounds() -> dict[str, str]:
    [(booked_before, ended_before)] = _rows(sql.BOUNDS, {})
    return {"booked_before": booked_before, "ended_before": ended_before}


def _position(walk: _Walk, organization: UUID) -> str:
    found = _rows(sql.POSITION, {"walk": walk.name, "organization": organization})
    return str(found[0][0]) if found else walk.start


def _forget() -> None:
    with _short_transaction() as cursor:
        for statement in sql.FORGET:
            cursor.execute(statement)


def _differences(statement: str, chunk: dict[str, Any], *, settings: str = sql.SETTINGS) -> Iterator[Difference]:
    for row in _rows(statement, chunk, settings=settings):
        yield Difference(*("none" if value is None else str(value) for value in row))


def _rows(statement: str, parameters: dict[str, Any], *, settings: str = sql.SETTINGS) -> list[tuple[Any, ...]]:
    with _short_transaction(settings) as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _execute(statement: str, parameters: dict[str, Any]) -> None:
    with _short_transaction() as cursor:
        cursor.execute(statement, parameters)


@contextmanager
def _short_transaction(settings: str = sql.SETTINGS) -> Iterator[CursorWrapper]:
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(settings)
        yield cursor
