import threading
from functools import partial

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


def test_the_books_are_right_at_every_moment_of_the_traffic(database: Database, acme: Organization) -> None:
    """Reserves, settles, voids, expiries and late settles while the proof runs again and again."""
    team = money.make_unit(acme, "Team", "team")
    money.make_budget(acme, 10**12)
    money.make_budget(acme, 10**6, team, period_kind="day", measure="requests")
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
            kind = caller.random.choice(["settle", "void", "expire", "late", "late"])
            if kind in ("expire", "late"):
                money.end(caller.connection, money.an_ending(request, "expire", by_hand=True))
            if kind != "expire":
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
