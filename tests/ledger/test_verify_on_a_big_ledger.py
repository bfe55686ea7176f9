"""What a run has proved is kept for the next one, and every statement costs by the chunk."""

import time
from collections import Counter
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection as of_django

from apps.budgets import verifying_sql
from apps.budgets.verifying import Difference, verify
from bench import past
from tests.budgets import money
from tests.concurrency.callers import in_parallel
from tests.databases import Database

Connection = psycopg.Connection[Any]
PAST = 25_000
WALKS = ["references", "reservations", "spend_events", "entries"]
BIG_TABLES = "relname ~ '^(budgets_reservation|ledger_ledgerentry|ledger_spendevent)_'"


class Books:
    """One organization with one cap; its first request is the pattern for its past."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        money.beat(connection)
        self.acme = money.make_organization()
        self.payer = money.make_key(self.acme, money.make_unit(self.acme))
        self.period = money.open_period(connection, money.make_budget(self.acme, 10**12))
        self.end(self.reserve())

    def reserve(self, *more_periods: int) -> dict[str, Any]:
        tokens = money.tokens_of(self.connection, self.acme)
        request = money.a_request(self.acme, tokens, [self.period, *more_periods], **self.payer)
        assert money.verdict(self.connection, request) == "granted"
        return request

    def end(self, request: dict[str, Any], kind: str = "settle", **fields: Any) -> None:
        money.end(self.connection, money.an_ending(request, kind, **fields))

    def age(self) -> None:
        """Whatever has happened so far was three days ago."""
        money.set_clock(self.connection, money.now_of(self.connection) + timedelta(days=3))
        money.beat(self.connection)

    def grow(self, entries: int = PAST) -> None:
        self.connection.execute(past.PATTERNS)
        with self.connection.transaction():
            self.connection.execute(past.COPIES, {"entries": entries, "first": 0, "last": entries - 1})
            for statement in past.INSERTS:
                self.connection.execute(statement)


@pytest.fixture
def books(database: Database) -> Books:
    return Books(database.connect())


def run(*, full: bool = False) -> tuple[set[str], Counter[str]]:
    """The checks that failed, and how many rows each walk has read."""
    rows: Counter[str] = Counter()
    found = verify(full=full, progress=lambda walk, count: rows.update({walk: count}))
    return {difference.check for difference in found}, rows


def test_a_second_run_reads_only_what_is_new(books: Books) -> None:
    books.grow()
    books.age()
    everything = PAST + 1
    assert run() == (set(), {**dict.fromkeys(WALKS, everything), "sums": everything, "periods": 1})
    books.end(books.reserve())
    assert run() == (set(), {**dict.fromkeys(WALKS, 1), "periods": 1})
    assert run(full=True) == (set(), {**dict.fromkeys(WALKS, everything + 1), "sums": everything, "periods": 1})


def test_an_interrupted_run_is_gone_on_with(books: Books) -> None:
    books.grow()
    books.age()

    def stop(walk: str, rows: int) -> None:
        if walk == "reservations":
            raise KeyboardInterrupt(f"after {rows}")

    with pytest.raises(KeyboardInterrupt, match="after 10000"):
        list(verify(progress=stop))
    failed, rows = run()
    assert (failed, rows["references"]) == (set(), 0)
    assert (rows["reservations"], rows["entries"]) == (PAST + 1 - 10_000, PAST + 1)


def test_a_run_ends_though_requests_keep_coming(books: Books) -> None:
    walks: list[str] = []

    def request_more(walk: str, rows: int) -> None:
        walks.append(walk)
        assert len(walks) < 20
        books.end(books.reserve())

    assert list(verify(progress=request_more)) == []
    assert walks == [*WALKS, "periods"]


def test_a_change_of_what_was_proved_is_found_by_a_full_run_and_then_by_all(books: Books) -> None:
    books.age()
    run()
    books.connection.execute("UPDATE budgets_reservation SET booked_tokens = booked_tokens + 1")
    assert run()[0] == set()
    assert run(full=True)[0] == {"reservation_booked_tokens"}
    assert run()[0] == {"reservation_booked_tokens"}


def test_a_counter_that_moved_is_found_by_every_run(books: Books) -> None:
    books.age()
    run()
    books.connection.execute("UPDATE budgets_period SET settled = settled + 1")
    assert run()[0] == {"period_settled"}


def test_an_open_reservation_is_proved_when_it_has_ended(books: Books) -> None:
    request = books.reserve()
    books.age()
    assert run()[0] == set()
    books.end(request, "void")
    books.connection.execute("UPDATE budgets_reservation SET booked_nanos = 1 WHERE state = 'voided'")
    assert run()[0] == {"reservation_booked_nanos"}


def test_a_reservation_that_is_corrected_after_it_was_proved_is_proved_again(books: Books) -> None:
    request = books.reserve()
    books.end(request, "expire", by_hand=True)
    books.age()
    assert run()[0] == set()
    books.end(request, "settle", cost=70)
    assert run()[0] == set()
    books.connection.execute("UPDATE budgets_reservation SET booked_nanos = 71 WHERE is_late")
    assert run()[0] == {"reservation_booked_nanos"}


def test_a_recovered_reservation_older_than_what_was_proved_is_proved(books: Books) -> None:
    lost = money.a_request(books.acme, {}, [books.period], **books.payer)
    books.end(books.reserve())
    books.age()
    run()
    books.end(lost)
    assert run()[0] == set()
    books.connection.execute("UPDATE budgets_reservation SET booked_nanos = 71 WHERE end_cause = 'recovered'")
    assert run()[0] == {"reservation_booked_nanos"}


def test_a_short_period_that_is_gone_is_no_difference(books: Books) -> None:
    minutely = money.make_budget(books.acme, 100, measure="requests", period_kind="minute")
    minute = money.open_period(books.connection, minutely)
    books.end(books.reserve(minute))
    books.age()
    assert run()[0] == set()
    books.connection.execute("DELETE FROM budgets_period WHERE id = %s", [minute])
    assert run()[0] == set()
    assert books.connection.execute("SELECT period_id FROM budgets_verifiedsum").fetchall() == [(books.period,)]
    assert run(full=True)[0] == set()


def test_two_runs_at_once_count_no_entry_twice(books: Books) -> None:
    books.grow()
    books.age()

    def prove() -> list[Difference]:
        found = list(verify())
        of_django.close()
        return found

    assert in_parallel(prove, prove) == [[], []]
    assert run() == (set(), {"periods": 1})


def test_nothing_is_summed_up_while_an_earlier_entry_may_still_appear(books: Books, database: Database) -> None:
    request, slow = books.reserve(), database.connect(autocommit=False)
    money.end(slow, money.an_ending(request))
    time.sleep(0.2)
    bounds = books.connection.execute(verifying_sql.BOUNDS).fetchone()
    slow.commit()
    newest = books.connection.execute(
        "SELECT max(booked_at) > %s::timestamptz + interval '1 minute' FROM ledger_ledgerentry", bounds[:1]
    ).fetchone()
    assert newest == (True,)


def work(connection: Connection) -> tuple[int, int]:
    """Sequential scans of the big tables so far, and the rows that their indexes have returned."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    row = connection.execute(f"""
        SELECT (SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE {BIG_TABLES}),
               (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE {BIG_TABLES})""").fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


@pytest.mark.parametrize("statistics", ["", "ANALYZE"])
def test_every_row_is_reached_by_an_index_and_few_times(books: Books, statistics: str) -> None:
    books.grow()
    books.connection.execute(statistics or "SELECT")
    scans, reads = work(books.connection)
    assert run()[0] == set()
    of_django.close()  # which reports its statistics
    scans_since, reads_since = work(books.connection)
    assert scans_since == scans
    assert reads_since - reads < 20 * PAST
