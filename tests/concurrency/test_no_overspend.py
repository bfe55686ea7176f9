"""Promise 1: whatever runs at once, nothing is reserved that does not fit under every hard cap."""

from collections import Counter
from functools import partial

import psycopg
import pytest

from apps.budgets.verifying import verify
from apps.orgs.models import Organization
from tests.budgets import money
from tests.concurrency.callers import Caller, in_parallel, meanwhile, until, waits_for_lock, watched
from tests.databases import Database

ABOVE_ITS_CAP = """
    SELECT p.id, p.settled, p.reserved, b.amount FROM budgets_period p JOIN budgets_budget b ON b.id = p.budget_id
    WHERE b.hardness = 'hard' AND p.settled + p.reserved > b.amount
"""
NO_LOCKS = """
    CREATE OR REPLACE FUNCTION budgets_lock_periods_v1(ids bigint[]) RETURNS void LANGUAGE sql AS '';
    CREATE OR REPLACE FUNCTION budgets_fence_v1() RETURNS bigint LANGUAGE sql VOLATILE
        AS 'SELECT (random() * 1e15)::bigint';
"""

# Between reading the counters and changing them: what is rare on two cores happens here all the time.
SLOW_TO_DECIDE = """
    CREATE OR REPLACE FUNCTION budgets_known_reservations_v1(ids uuid[]) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS
    $$ BEGIN PERFORM pg_sleep(0.003); RETURN '{}'; END $$
"""


@pytest.fixture
def acme(database: Database) -> Organization:
    acme = money.make_organization()
    money.beat(database.connect())
    return acme


def two_at_once(database: Database, acme: Organization) -> tuple[str, str, tuple[int, int]]:
    """The verdicts of two reserves of 60 under a cap of 100, the second asked before the first commits."""
    first, second, watcher = (database.connect() for _ in range(3))
    period = money.open_period(watcher, money.make_budget(acme, 100))
    tokens = money.tokens_of(watcher, acme)
    requests = [money.a_request(acme, tokens, [period], nanos=60) for _ in range(2)]
    first.execute("BEGIN")
    granted = money.verdict(first, requests[0])
    with meanwhile(partial(money.verdict, second, requests[1])) as late:
        until(lambda: waits_for_lock(watcher, second.info.backend_pid))
        first.execute("COMMIT")
    return granted, late.result(), money.counters(watcher, period)


def spenders(database: Database, acme: Organization, count: int) -> list[Caller]:
    """Employees of two teams, all under the organization's cap, each under a team's and one of its own."""
    teams = [money.make_unit(acme, name, "team") for name in ("Red", "Blue")]
    money.make_budget(acme, 30_000, period_kind="month")
    for team in teams:
        money.make_budget(acme, 17_000, team, period_kind="year")
    money.make_budget(acme, 60_000, hardness="soft")
    money.make_budget(acme, 5_000, applies_to_each="employee")
    callers = []
    for number in range(count):
        employee = money.make_unit(acme, f"Employee {number}")
        money.make_key(acme, employee)
        callers.append(Caller(database.connect(), acme, [employee, teams[number % 2]], seed=number))
    return callers


def spend_until_refused(caller: Caller) -> None:
    running = []
    refusals = 0
    while refusals < 12:
        request = caller.reserve(caller.random.randint(50, 400))
        if request is None:
            refusals += 1
        else:
            running.append(request)
        if running and (request is None or caller.random.random() < 0.6):
            ended = running.pop(caller.random.randrange(len(running)))
            if caller.random.random() < 0.1:
                money.end(caller.connection, money.an_ending(ended, "void"))
            else:
                caller.settle(ended, caller.random.randint(0, ended["nanos"]))
    for request in running:
        caller.settle(request, request["nanos"])


def reserve_until_refused(caller: Caller) -> None:
    while caller.reserve(100) is not None:
        pass


def test_without_the_locks_two_reserves_at_once_pass_the_cap(database: Database, acme: Organization) -> None:
    """The control: if this fails, the tests below prove nothing."""
    database.connect().execute(NO_LOCKS)
    assert two_at_once(database, acme) == ("granted", "granted", (0, 120))


def test_with_the_locks_the_second_of_two_reserves_at_once_is_refused(database: Database, acme: Organization) -> None:
    assert two_at_once(database, acme) == ("granted", "in_flight", (0, 60))


@pytest.mark.parametrize(("locks", "is_passed"), [(NO_LOCKS, True), ("", False)])
def test_eight_callers_on_one_cap_pass_it_only_without_the_locks(
    database: Database, acme: Organization, locks: str, is_passed: bool
) -> None:
    database.connect().execute(SLOW_TO_DECIDE + ";" + locks)
    money.make_budget(acme, 20_000)
    callers = [Caller(database.connect(), acme, [money.make_unit(acme, str(number))]) for number in range(8)]
    with watched(database, ABOVE_ITS_CAP) as passed:
        in_parallel(*(partial(reserve_until_refused, caller) for caller in callers))
    assert bool(passed) == is_passed


def test_the_watcher_never_sees_callers_pass_a_cap(database: Database, acme: Organization) -> None:
    callers = spenders(database, acme, 8)
    with watched(database, ABOVE_ITS_CAP) as passed:
        in_parallel(*(partial(spend_until_refused, caller) for caller in callers))
    assert passed == []
    assert list(verify()) == []
    verdicts = sum((caller.verdicts for caller in callers), start=Counter())
    assert verdicts["granted"] > 100
    assert verdicts["exceeded"] + verdicts["in_flight"] > 90


def test_a_batch_never_takes_more_than_what_is_left(database: Database, acme: Organization) -> None:
    connection = database.connect()
    shared = money.open_period(connection, money.make_budget(acme, 1000))
    own = money.open_period(connection, money.make_budget(acme, 250, period_kind="month"))
    tokens = money.tokens_of(connection, acme)
    requests = [money.a_request(acme, tokens, [shared, own][: 1 + number % 2], nanos=100) for number in range(30)]
    verdicts = [answer["verdict"] for answer in money.reserve(connection, *requests)]
    assert verdicts.count("granted") == 10
    assert verdicts[1::2].count("granted") == 2
    assert money.counters(connection, shared) == (0, 1000)
    assert money.counters(connection, own) == (0, 200)


def test_a_batch_that_names_a_period_twice_is_refused(database: Database, acme: Organization) -> None:
    connection = database.connect()
    period = money.open_period(connection, money.make_budget(acme, 1000))
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        connection.execute("SELECT budgets_reserve_v3(%s, '[]')", ([period, period],))


def test_the_tightest_cap_is_named_and_settled_money_beats_reserved_money(
    database: Database, acme: Organization
) -> None:
    connection = database.connect()
    money.beat(connection)
    wide, narrow, counted = (
        money.open_period(connection, money.make_budget(acme, cap, period_kind=kind, measure=measure))
        for cap, kind, measure in ((500, "total", "nanos"), (200, "year", "nanos"), (3, "day", "requests"))
    )
    tokens = money.tokens_of(connection, acme)
    first = money.a_request(acme, tokens, [wide, narrow, counted], nanos=150)
    money.reserve(connection, first)
    [held] = money.reserve(connection, money.a_request(acme, tokens, [wide, narrow, counted], nanos=100))
    assert (held["verdict"], held["period_id"], held["settled"], held["reserved"]) == ("in_flight", narrow, 0, 150)
    money.end(connection, money.an_ending(first, cost=150))
    [spent] = money.reserve(connection, money.a_request(acme, tokens, [wide, narrow, counted], nanos=400))
    assert (spent["verdict"], spent["period_id"], spent["cap"], spent["settled"]) == ("exceeded", narrow, 200, 150)
