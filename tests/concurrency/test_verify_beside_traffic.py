import threading
from datetime import UTC, datetime
from functools import partial

import psycopg
import pytest

from apps.budgets import expiring
from apps.budgets.verifying import verify
from apps.orgs.models import Organization
from tests.budgets import money
from tests.concurrency.callers import Caller, in_parallel, meanwhile
from tests.databases import Database


@pytest.fixture
def acme(database: Database) -> Organization:
    money.beat(database.connect())
    return money.make_organization()


def set_pace(database: Database, pace: int) -> None:
    database.connect().execute(
        psycopg.sql.SQL(
            "CREATE OR REPLACE FUNCTION spendra_now_v1() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
            "$$ SELECT {0}::timestamptz + (clock_timestamp() - {0}::timestamptz) * {1} $$"
        ).format(datetime.now(UTC).isoformat(), pace)
    )


@pytest.mark.parametrize(("pace", "scope"), [(1, "team"), (60, "employee")])
def test_the_books_are_right_at_every_moment_of_the_traffic(
    database: Database, acme: Organization, pace: int, scope: str
) -> None:
    """Reserves, settles, voids, expiries, late settles, and commits that dawdle, while the proof runs again and again.

    Where the clock of money runs at a minute a second, sums are kept on the way; of callers that share no period, which
    would order their commits."""
    set_pace(database, pace)
    team = money.make_unit(acme, "Team", "team")
    money.make_budget(acme, 10**12, applies_to_each=scope)
    money.make_budget(acme, 10**6, applies_to_each=scope, period_kind="day", measure="requests")
    callers = []
    for number in range(4):
        unit = money.make_unit(acme, f"Employee {number}")
        money.make_key(acme, unit)
        callers.append(Caller(database.connect(), acme, [unit, team], seed=number))
    is_over = threading.Event()

    def load(caller: Caller) -> None:
        for _ in range(150):
            request = caller.reserve(100)
            assert request is not None
            kind = caller.random.choice(["settle", "void", "expire", "late", "late", "slow"])
            if kind in ("expire", "late"):
                money.end(caller.connection, money.an_ending(request, "expire", by_hand=True))
            if kind == "slow":
                with caller.connection.transaction():
                    money.end(caller.connection, money.an_ending(request))
                    is_over.wait(0.01)
            elif kind != "expire":
                money.end(caller.connection, money.an_ending(request, "void" if kind == "void" else "settle"))

    def prove() -> list[object]:
        found: list[object] = []
        while not is_over.is_set():
            found += verify()
            expiring.sweep()
        return found

    with meanwhile(prove) as proof:
        in_parallel(*(partial(load, caller) for caller in callers))
        is_over.set()
    assert proof.result() == []
    assert list(verify()) == []
    assert list(verify(full=True)) == []
