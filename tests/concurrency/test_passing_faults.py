"""Faults of Postgres that pass: the whole batch is tried again, a few times, and counted; a batch that takes too long
is made smaller. Forced by a function in front of the real one, since no caller of ours locks in the wrong order."""

from functools import partial
from uuid import UUID

import psycopg
import pytest
from django.db import InternalError

from apps.budgets import expiring, reserving
from apps.orgs.models import Organization
from tests.budgets import money
from tests.concurrency.callers import Connection, meanwhile, until
from tests.concurrency.test_poisoned_batches import reserve, settle
from tests.databases import Database

SIGNATURES = {
    "budgets_reserve_v3": ("wanted bigint[], requests jsonb", "wanted, requests"),
    "budgets_settle_v2": ("ends jsonb", "ends"),
}
PASSING = ["40P01", "40001"]
WAITS_FOR_COMMIT = (
    "SELECT FROM pg_stat_activity WHERE datname = current_database() "
    "AND wait_event = 'transactionid' AND query ILIKE '%budgets_reserve%'"
)


@pytest.fixture
def acme(database: Database) -> Organization:
    money.beat(database.connect())
    return money.make_organization()


def put_in_front(connection: Connection, function: str, act: str) -> None:
    """`act` is PL/pgSQL that runs before each call."""
    parameters, arguments = SIGNATURES[function]
    connection.execute("CREATE SEQUENCE calls")
    connection.execute(f"ALTER FUNCTION {function} RENAME TO {function}_real")
    connection.execute(
        f"CREATE FUNCTION {function}({parameters}) RETURNS jsonb LANGUAGE plpgsql AS "
        f"$$ BEGIN {act} RETURN {function}_real({arguments}); END $$"
    )


def fail(times: int, sqlstate: str) -> str:
    """Numbers of a sequence are not given back by a rollback."""
    return f"IF nextval('calls') <= {times} THEN RAISE EXCEPTION 'it passes' USING ERRCODE = '{sqlstate}'; END IF;"


@pytest.mark.parametrize("sqlstate", PASSING)
def test_a_reserve_is_tried_three_times_more_and_given_up_then(
    database: Database, acme: Organization, sqlstate: str
) -> None:
    connection = database.connect()
    period = money.open_period(connection, money.make_budget(acme, 1000))
    put_in_front(connection, "budgets_reserve_v3", fail(7, sqlstate))
    requests = [money.a_request(acme, money.tokens_of(connection, acme), [period]) for _ in range(2)]
    before = reserving.retries["serialization"]
    given_up = reserve(database, requests)
    assert [type(answer) for answer in given_up] == [reserving.OutcomeUnknown] * 2
    assert reserving.retries["serialization"] - before == 3
    assert money.counters(connection, period) == (0, 0)
    assert [answer["verdict"] for answer in reserve(database, requests)] == ["granted"] * 2
    assert reserving.retries["serialization"] - before == 6
    assert money.counters(connection, period) == (0, 200)


@pytest.mark.parametrize("beside", [0, 3])
def test_a_reserve_whose_first_call_commits_while_it_is_asked_again_is_granted_once(
    database: Database, acme: Organization, beside: int
) -> None:
    """Without a period nothing makes the second wait for the first, until both insert the same reservation."""
    connection, first = database.connect(), database.connect()
    tokens = money.tokens_of(connection, acme)
    lost, *others = (money.a_request(acme, tokens, []) for _ in range(1 + beside))
    first.execute("BEGIN")
    money.reserve(first, lost)
    with meanwhile(partial(reserve, database, [lost, *others])) as answered:
        until(lambda: connection.execute(WAITS_FOR_COMMIT).rowcount)
        first.execute("COMMIT")
    assert [answer["verdict"] for answer in answered.result()] == ["granted"] * (1 + beside)
    assert connection.execute("SELECT FROM budgets_reservation WHERE state = 'open'").rowcount == 1 + beside


@pytest.mark.parametrize("sqlstate", PASSING)
def test_a_settle_is_tried_three_times_more_and_kept_by_its_caller_then(
    database: Database, acme: Organization, sqlstate: str
) -> None:
    connection = database.connect()
    period = money.open_period(connection, money.make_budget(acme, 1000))
    request = money.a_request(acme, money.tokens_of(connection, acme), [period])
    money.reserve(connection, request)
    put_in_front(connection, "budgets_settle_v2", fail(7, sqlstate))
    before = reserving.retries["serialization"]
    with pytest.raises(psycopg.Error) as error:
        settle(database, [money.an_ending(request)])
    assert (error.value.sqlstate, reserving.retries["serialization"] - before) == (sqlstate, 3)
    assert [answer["outcome"] for answer in settle(database, [money.an_ending(request)])] == ["settled"]
    assert money.counters(connection, period) == (60, 0)


def test_a_settle_that_takes_too_long_is_made_smaller(database: Database, acme: Organization) -> None:
    """Postgres cancels a statement after two seconds: the same batch would be cancelled again and again."""
    connection = database.connect()
    period = money.open_period(connection, money.make_budget(acme, 1000))
    requests = [money.a_request(acme, money.tokens_of(connection, acme), [period]) for _ in range(4)]
    money.reserve(connection, *requests)
    put_in_front(connection, "budgets_settle_v2", "PERFORM pg_sleep(0.6 * jsonb_array_length(ends));")
    outcomes = settle(database, [money.an_ending(request) for request in requests])
    assert [answer["outcome"] for answer in outcomes] == ["settled"] * 4
    assert money.counters(connection, period) == (240, 0)


def test_one_ending_that_takes_too_long_alone_waits_for_its_turn(database: Database, acme: Organization) -> None:
    connection = database.connect()
    request = money.a_request(acme, money.tokens_of(connection, acme), [])
    money.reserve(connection, request)
    put_in_front(connection, "budgets_settle_v2", "PERFORM pg_sleep(3);")
    assert [answer["outcome"] for answer in settle(database, [money.an_ending(request)])] == ["stuck"]


@pytest.mark.parametrize("sqlstate", [*PASSING, "55P03"])
def test_a_sweep_tries_twice_more(database: Database, acme: Organization, sqlstate: str) -> None:
    connection = database.connect()
    money.reserve(connection, money.a_request(acme, money.tokens_of(connection, acme), [], lifetime_seconds=0))
    put_in_front(connection, "budgets_settle_v2", fail(2, sqlstate))
    assert expiring.sweep() == 1


def test_an_organization_whose_rows_are_broken_keeps_no_other_and_fails_the_sweep(
    database: Database, acme: Organization
) -> None:
    connection, globex = database.connect(), money.make_organization("globex")
    broken, free = (money.a_request(one, money.tokens_of(connection, one), [], lifetime_seconds=0)
                    for one in (acme, globex))  # fmt: skip
    money.reserve(connection, broken, free)
    put_in_front(
        connection, "budgets_settle_v2", f"IF ends::text LIKE '%{broken['id']}%' THEN {fail(10**6, 'XX001')} END IF;"
    )
    with pytest.raises(InternalError, match="it passes"):
        expiring.sweep()
    assert connection.execute("SELECT id FROM budgets_reservation WHERE state = 'expired'").fetchall() == [
        (UUID(free["id"]),)
    ]


@pytest.mark.parametrize("sqlstate", [*PASSING, "57014", "55P03"])
def test_an_organization_that_can_not_be_swept_keeps_no_other(
    database: Database, acme: Organization, sqlstate: str
) -> None:
    connection, globex = database.connect(), money.make_organization("globex")
    stuck, free = (money.a_request(one, money.tokens_of(connection, one), [], lifetime_seconds=0)
                   for one in (acme, globex))  # fmt: skip
    money.reserve(connection, stuck, free)
    only_stuck = f"IF ends::text LIKE '%{stuck['id']}%' THEN {fail(10**6, sqlstate)} END IF;"
    put_in_front(connection, "budgets_settle_v2", only_stuck)
    assert expiring.sweep() == 1
    assert connection.execute("SELECT id FROM budgets_reservation WHERE state = 'expired'").fetchall() == [
        (UUID(free["id"]),)
    ]


def test_one_organization_with_very_many_that_can_not_be_swept_keeps_no_other(
    database: Database, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiring, "_MOST_IN_A_SWEEP", 3)
    connection, globex = database.connect(), money.make_organization("globex")
    many = [money.a_request(acme, money.tokens_of(connection, acme), [], lifetime_seconds=0) for _ in range(4)]
    free = money.a_request(globex, money.tokens_of(connection, globex), [], lifetime_seconds=0)
    money.reserve(connection, *many, free)
    only_many = f"IF ends::text NOT LIKE '%{free['id']}%' THEN {fail(10**6, '55P03')} END IF;"
    put_in_front(connection, "budgets_settle_v2", only_many)
    assert expiring.sweep() == 1
