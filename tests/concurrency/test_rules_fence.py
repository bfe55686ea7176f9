"""Promise 3: once the change of a rule has returned, no reservation commits that was decided without it."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import pytest

from apps.orgs.models import Organization
from tests.budgets import money
from tests.concurrency.callers import Caller, Connection, in_parallel, meanwhile, until, waits_for_lock
from tests.databases import Database

NO_FENCE = """
    CREATE OR REPLACE FUNCTION budgets_fence_v1() RETURNS bigint LANGUAGE sql VOLATILE
        AS 'SELECT (random() * 1e15)::bigint'
"""
REVOKE = "UPDATE keys_key SET revoked_at = clock_timestamp()"
COMMITTED_UNDER = "SELECT count(*) FROM budgets_reservation WHERE request_id = %s"


@pytest.fixture
def acme(database: Database) -> Organization:
    acme = money.make_organization()
    money.make_key(acme, money.make_unit(acme))
    return acme


def count(connection: Connection, token: str) -> int:
    row = connection.execute(COMMITTED_UNDER, (token,)).fetchone()
    assert row is not None
    return int(row[0])


def revoked_while_a_reserve_is_about_to_commit(database: Database, acme: Organization) -> tuple[bool, int, int]:
    """Whether the revocation had to wait, and what was visible under the old rules when it returned and afterwards."""
    gateway, admin, watcher = (database.connect() for _ in range(3))
    tokens = money.tokens_of(watcher, acme)
    old = tokens["organization_token"]
    gateway.execute("BEGIN")
    assert money.verdict(gateway, money.a_request(acme, tokens, [], request_id=old)) == "granted"
    with meanwhile(lambda: (admin.execute(REVOKE), count(watcher, old))[1]) as revoked:
        waited = is_soon(lambda: revoked.done() or waits_for_lock(gateway, admin.info.backend_pid))
        had_to_wait = waited and not revoked.done()
        gateway.execute("COMMIT")
    return had_to_wait, revoked.result(), count(watcher, old)


def is_soon(condition: Callable[[], bool]) -> bool:
    until(condition)
    return True


def test_without_the_fence_a_reservation_appears_after_the_revocation_returned(
    database: Database, acme: Organization
) -> None:
    """The control."""
    database.connect().execute(NO_FENCE)
    assert revoked_while_a_reserve_is_about_to_commit(database, acme) == (False, 0, 1)


def test_a_revocation_waits_for_reserves_that_are_about_to_commit(database: Database, acme: Organization) -> None:
    assert revoked_while_a_reserve_is_about_to_commit(database, acme) == (True, 1, 1)


def changes_under_load(database: Database, acme: Organization, rounds: int) -> int:
    """How many reservations became visible under rules whose change had returned, over many changes under load."""
    is_over = threading.Event()
    admin, watcher = database.connect(), database.connect()

    def call(caller: Caller) -> None:
        while not is_over.is_set():
            request = caller.request(1)
            request["request_id"] = request["organization_token"]
            if money.verdict(caller.connection, request) == "stale":
                caller.reload()

    def change() -> int:
        late = 0
        for _ in range(rounds):
            old = money.tokens_of(watcher, acme)["organization_token"]
            is_over.wait(0.01)
            admin.execute(REVOKE)
            at_return = count(watcher, old)
            is_over.wait(0.02)
            late += count(watcher, old) - at_return
        is_over.set()
        return late

    money.make_budget(acme, 10**15)
    scopes = [money.make_unit(acme, f"Caller {number}") for number in range(4)]
    callers = [Caller(database.connect(), acme, [unit]) for unit in scopes]
    *_, late = in_parallel(*(partial(call, caller) for caller in callers), change)
    followed = watcher.execute("SELECT DISTINCT request_id FROM budgets_reservation").fetchall()
    assert len(followed) > rounds / 2
    return int(late)


def test_under_load_nothing_commits_under_rules_whose_change_has_returned(
    database: Database, acme: Organization
) -> None:
    assert changes_under_load(database, acme, rounds=60) == 0


def test_a_reserve_that_waited_for_a_lock_reads_the_rules_after_the_wait(
    database: Database, acme: Organization
) -> None:
    holder, gateway, admin = (database.connect() for _ in range(3))
    period = money.open_period(admin, money.make_budget(acme, 1000))
    request = money.a_request(acme, money.tokens_of(admin, acme), [period])
    holder.execute("BEGIN")
    holder.execute("SELECT budgets_lock_periods_v1(%s)", ([period],))
    with meanwhile(partial(money.verdict, gateway, request)) as answer:
        until(lambda: waits_for_lock(admin, gateway.info.backend_pid))
        admin.execute(REVOKE)
        holder.execute("COMMIT")
    assert answer.result() == "stale"
    assert money.counters(admin, period) == (0, 0)


def test_a_lowered_cap_binds_a_reserve_that_was_waiting(database: Database, acme: Organization) -> None:
    holder, gateway, admin = (database.connect() for _ in range(3))
    budget = money.make_budget(acme, 1000)
    period = money.open_period(admin, budget)
    holder.execute("BEGIN")
    holder.execute("SELECT budgets_lock_periods_v1(%s)", ([period],))
    with meanwhile(partial(Caller(gateway, acme, [money.make_unit(acme, "Eve")]).reserve, 100)) as answer:
        until(lambda: waits_for_lock(admin, gateway.info.backend_pid))
        admin.execute("UPDATE budgets_budget SET amount = 99")
        holder.execute("COMMIT")
    assert answer.result() is None


@pytest.mark.parametrize(
    ("moved", "verdict"),
    [
        ({"organization_token": money.NIL}, "stale"),
        ({"global_token": money.NIL}, "stale"),
        ({"organization_token": None}, "stale"),
        ({"organization_id": money.NIL}, "stale"),
        ({"valid_from": "2999-01-01T00:00:00Z"}, "stale"),
        ({"valid_until": "2001-01-01T00:00:00Z"}, "stale"),
        ({"valid_until": None}, "stale"),
        ({}, "granted"),
    ],
)
def test_a_decision_holds_only_with_its_tokens_and_in_its_time(
    database: Database, acme: Organization, moved: dict[str, Any], verdict: str
) -> None:
    connection = database.connect()
    tokens = money.tokens_of(connection, acme)
    [answer] = money.reserve(connection, money.a_request(acme, tokens, [], **moved))
    assert answer["verdict"] == verdict
    if verdict == "stale" and "organization_id" not in moved:
        assert answer == {"verdict": "stale", **tokens}


def test_an_organization_without_a_token_is_stale_too(database: Database, acme: Organization) -> None:
    connection = database.connect()
    tokens = money.tokens_of(connection, acme)
    connection.execute("DELETE FROM budgets_governanceversion WHERE id = %s", (acme.id,))
    assert money.verdict(connection, money.a_request(acme, tokens, [])) == "stale"
    assert money.verdict(connection, money.a_request(acme, {**tokens, "organization_token": None}, [])) == "stale"


def test_a_reserve_under_repeatable_read_is_refused_by_postgres(database: Database, acme: Organization) -> None:
    """Why hot connections set READ COMMITTED: in a frozen snapshot the change would not be seen at all."""
    holder, gateway, watcher = (database.connect() for _ in range(3))
    period = money.open_period(watcher, money.make_budget(acme, 1000))
    request = money.a_request(acme, money.tokens_of(watcher, acme), [period])
    gateway.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    money.now_of(gateway)
    money.reserve(holder, money.a_request(acme, money.tokens_of(watcher, acme), [period]))
    with pytest.raises(psycopg.errors.SerializationFailure):
        money.verdict(gateway, request)
