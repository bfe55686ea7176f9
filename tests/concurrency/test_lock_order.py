"""One order for every writer: reservations by id, periods actor first and organization last, the fence, inserts.

Each test holds one lock, lets a writer run into it, and looks at what the writer holds by then.
"""

import os
import socket
import time
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import connection as django_connection
from django.db import transaction

from apps.budgets import expiring
from apps.budgets.connecting import SERVER_OPTIONS
from apps.orgs.models import Organization, Unit
from tests.budgets import money
from tests.concurrency.callers import Connection, deadlocks, in_parallel, meanwhile, until, waits_for_lock
from tests.databases import Database


@pytest.fixture
def acme(database: Database) -> Organization:
    money.beat(database.connect())
    return money.make_organization()


def reserved(connection: Connection, acme: Organization, periods: list[int], **fields: Any) -> dict[str, Any]:
    request = money.a_request(acme, money.tokens_of(connection, acme), periods, **fields)
    assert money.verdict(connection, request) == "granted"
    return request


def is_free(connection: Connection, table: str, id: object) -> bool:
    row = connection.execute(
        f"SELECT count(*) FROM (SELECT FROM {table} WHERE id = %s FOR NO KEY UPDATE SKIP LOCKED) found", (id,)
    ).fetchone()
    return row == (1,)


def hold(connection: Connection, statement: str, *parameters: object) -> None:
    connection.execute("BEGIN")
    connection.execute(statement, parameters)


def test_a_settle_locks_reservations_by_id_whatever_the_order_of_its_batch(
    database: Database, acme: Organization
) -> None:
    """settle{r1, r2} against a sweeper's {r2, r1} would be a deadlock."""
    sweeper, gateway, watcher = (database.connect() for _ in range(3))
    low, high = sorted((reserved(watcher, acme, []) for _ in range(2)), key=lambda request: request["id"])
    hold(sweeper, "SELECT budgets_lock_reservations_v1(ARRAY[%s]::uuid[])", low["id"])
    with meanwhile(partial(money.end, gateway, money.an_ending(high), money.an_ending(low))) as ended:
        until(lambda: waits_for_lock(watcher, gateway.info.backend_pid))
        assert is_free(watcher, "budgets_reservation", high["id"])
        sweeper.execute("COMMIT")
    assert [answer["id"] for answer in ended.result()] == [high["id"], low["id"]]


def test_settles_and_sweeps_of_the_same_reservations_in_any_order_never_deadlock(
    database: Database, acme: Organization
) -> None:
    connections = [database.connect() for _ in range(4)]
    shared = money.open_period(connections[0], money.make_budget(acme, 10**9))
    other = money.open_period(connections[0], money.make_budget(acme, 10**9, period_kind="year"))
    for turn in range(25):
        requests = [reserved(connections[0], acme, [shared, other][:: 1 - 2 * (turn % 2)]) for _ in range(2)]
        endings = [
            [money.an_ending(request, kind) for request in (requests if forwards else requests[::-1])]
            for kind, forwards in (("settle", True), ("expire", False), ("void", False), ("settle", False))
        ]
        in_parallel(*(partial(money.end, *pair) for pair in _calls(connections, endings)))
    assert deadlocks(connections[0]) == 0
    assert [money.counters(connections[0], period)[1] for period in (shared, other)] == [0, 0]


def _calls(connections: list[Connection], endings: list[list[dict[str, Any]]]) -> list[tuple[Any, ...]]:
    return [(connection, *batch) for connection, batch in zip(connections, endings, strict=True)]


def test_one_stuck_employee_does_not_hold_the_organization(database: Database, acme: Organization) -> None:
    holder, gateway, watcher = (database.connect() for _ in range(3))
    # The organization's period is the older one: by id alone it would be locked first.
    whole = money.open_period(watcher, money.make_budget(acme, 1000))
    stuck, free = (
        money.open_period(watcher, money.make_budget(acme, 1000, money.make_unit(acme, name))) for name in ("A", "B")
    )
    hold(holder, "SELECT budgets_lock_periods_v1(%s)", [stuck])
    request = money.a_request(acme, money.tokens_of(watcher, acme), [whole, stuck])
    with meanwhile(partial(money.verdict, gateway, request)) as answer:
        until(lambda: waits_for_lock(watcher, gateway.info.backend_pid))
        assert is_free(watcher, "budgets_period", whole)
        reserved(watcher, acme, [whole, free])
        holder.execute("COMMIT")
    assert answer.result() == "granted"


def test_reserve_holds_its_periods_before_it_asks_for_the_fence(database: Database, acme: Organization) -> None:
    admin, gateway, watcher = (database.connect() for _ in range(3))
    period = money.open_period(watcher, money.make_budget(acme, 1000))
    hold(admin, "SELECT pg_advisory_xact_lock(budgets_fence_v1())")
    request = money.a_request(acme, money.tokens_of(watcher, acme), [period])
    with meanwhile(partial(money.verdict, gateway, request)):
        until(lambda: waits_for_lock(watcher, gateway.info.backend_pid))
        assert not is_free(watcher, "budgets_period", period)
        admin.execute("COMMIT")


def test_settles_pass_while_somebody_holds_the_fence(database: Database, acme: Organization) -> None:
    admin, gateway = database.connect(), database.connect()
    request = reserved(gateway, acme, [money.open_period(gateway, money.make_budget(acme, 1000))])
    hold(admin, "SELECT pg_advisory_xact_lock(budgets_fence_v1())")
    assert money.outcome(gateway, money.an_ending(request)) == "settled"


def test_whoever_makes_constraints_immediate_and_idles_is_ended_after_a_second(
    database: Database, acme: Organization
) -> None:
    admin, gateway = database.connect(), database.connect(options=SERVER_OPTIONS)
    hold(admin, "UPDATE orgs_organization SET name = 'Other'")
    request = money.a_request(acme, money.tokens_of(gateway, acme), [])
    admin.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        money.verdict(gateway, request)
    until(lambda: not is_alive(gateway, admin.info.backend_pid))
    admin.close()
    assert money.verdict(gateway, request) == "granted"


def is_alive(connection: Connection, pid: int) -> bool:
    return connection.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone() is not None


def test_row_locks_on_what_a_reservation_names_do_not_stop_it(database: Database, acme: Organization) -> None:
    """A careless select_for_update() in an admin page: with foreign keys it would stop the whole gateway."""
    gateway = database.connect(options=SERVER_OPTIONS)
    unit = money.make_unit(acme)
    payer = money.make_key(acme, unit)
    period = money.open_period(gateway, money.make_budget(acme, 1000, unit))
    with transaction.atomic():
        list(Organization.objects.select_for_update())
        list(Unit.objects.select_for_update())
        with django_connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM keys_key, budgets_budget FOR UPDATE")
        request = reserved(gateway, acme, [period], **payer)
        assert money.outcome(gateway, money.an_ending(request)) == "settled"


def test_the_locks_of_the_money_core_let_a_foreign_keys_key_share_pass(database: Database, acme: Organization) -> None:
    gateway, other = database.connect(), database.connect()
    period = money.open_period(other, money.make_budget(acme, 1000))
    request = reserved(other, acme, [period])
    gateway.execute("BEGIN")
    money.end(gateway, money.an_ending(request))
    for table, id in (("budgets_period", period), ("budgets_reservation", request["id"])):
        assert other.execute(f"SELECT 1 FROM {table} WHERE id = %s FOR KEY SHARE NOWAIT", (id,)).fetchone()
    gateway.execute("COMMIT")


def test_a_sweep_that_meets_a_wrong_order_gives_way_and_comes_again(database: Database, acme: Organization) -> None:
    """It gives up its wait before Postgres has to end either of them."""
    rude, watcher = database.connect(), database.connect()
    period = money.open_period(watcher, money.make_budget(acme, 1000))
    request = reserved(watcher, acme, [period], lifetime_seconds=0)
    hold(rude, "SELECT budgets_lock_periods_v1(%s)", [period])
    with meanwhile(_sweep) as swept:
        until(lambda: _a_settle_waits(watcher))
        rude.execute("SELECT budgets_lock_reservations_v1(ARRAY[%s]::uuid[])", (request["id"],))
        rude.execute("COMMIT")
    assert swept.result() == 1
    assert deadlocks(watcher) == 0


def _a_settle_waits(watcher: Connection) -> bool:
    row = watcher.execute(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
        "AND query LIKE '%budgets_settle_v2%')"
    ).fetchone()
    return bool(row and row[0])


def _sweep() -> int:
    try:
        return expiring.sweep()
    finally:
        django_connection.close()


def test_a_sweep_that_waited_for_a_settle_leaves_what_that_one_ended(database: Database, acme: Organization) -> None:
    gateway, sweeper, watcher = (database.connect() for _ in range(3))
    request = reserved(watcher, acme, [], lifetime_seconds=0)
    hold(gateway, "SELECT 1")
    money.end(gateway, money.an_ending(request))
    with meanwhile(partial(money.outcome, sweeper, money.an_ending(request, "expire"))) as swept:
        until(lambda: waits_for_lock(watcher, sweeper.info.backend_pid))
        gateway.execute("COMMIT")
    assert swept.result() == "already_settled"
    assert [entry[2] for entry in money.amounts_booked(watcher)] == ["settled"]


def test_a_sweep_passes_what_somebody_holds_and_takes_it_next_time(database: Database, acme: Organization) -> None:
    holder, watcher = database.connect(), database.connect()
    globex = money.make_organization("globex")
    periods = {org: money.open_period(watcher, money.make_budget(org, 1000)) for org in (acme, globex)}
    reserved(watcher, acme, [periods[acme]], lifetime_seconds=0)
    ending, other = (reserved(watcher, globex, [periods[globex]], lifetime_seconds=0) for _ in range(2))
    hold(holder, "SELECT budgets_lock_reservations_v1(ARRAY[%s]::uuid[])", ending["id"])
    holder.execute("SELECT budgets_lock_periods_v1(%s)", ([periods[acme]],))
    assert expiring.sweep() == 1
    assert watcher.execute("SELECT id::text FROM budgets_reservation WHERE state = 'expired'").fetchall() == [
        (other["id"],)
    ]
    holder.execute("COMMIT")
    assert expiring.sweep() == 2


def test_a_void_stops_the_reserve_that_is_still_waiting(database: Database, acme: Organization) -> None:
    holder, gateway, watcher = (database.connect() for _ in range(3))
    period = money.open_period(watcher, money.make_budget(acme, 1000))
    request = money.a_request(acme, money.tokens_of(watcher, acme), [period])
    hold(holder, "SELECT budgets_lock_periods_v1(%s)", [period])
    with meanwhile(partial(money.verdict, gateway, request)) as late:
        until(lambda: waits_for_lock(watcher, gateway.info.backend_pid))
        assert money.outcome(watcher, money.an_ending(request, "void")) == "already_voided"
        holder.execute("COMMIT")
    assert late.result() == "ended"
    assert money.counters(watcher, period) == (0, 0)


def test_a_void_waits_for_the_reserve_that_is_about_to_commit(database: Database, acme: Organization) -> None:
    gateway, voider, watcher = (database.connect() for _ in range(3))
    period = money.open_period(watcher, money.make_budget(acme, 1000))
    request = money.a_request(acme, money.tokens_of(watcher, acme), [period])
    gateway.execute("BEGIN")
    assert money.verdict(gateway, request) == "granted"
    with meanwhile(partial(money.outcome, voider, money.an_ending(request, "void"))) as voided:
        until(lambda: waits_for_lock(watcher, voider.info.backend_pid))
        gateway.execute("COMMIT")
    assert voided.result() == "voided"
    assert money.counters(watcher, period) == (0, 0)


def test_a_tombstone_is_written_apart_from_endings_that_lock_periods(database: Database, acme: Organization) -> None:
    """Beside a settle it would hold an id that a late reserve inserts, and ask for periods that this one holds."""
    gateway = database.connect()
    settled = reserved(gateway, acme, [])
    unknown = money.a_request(acme, money.tokens_of(gateway, acme), [])
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="batch of their own"):
        money.end(gateway, money.an_ending(settled), money.an_ending(unknown, "void"))
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="batch of their own"):
        money.end(
            gateway,
            money.an_ending(unknown, "void"),
            money.an_ending(money.a_request(acme, money.tokens_of(gateway, acme), [])),
        )


def shut_while_waiting(
    database: Database, acme: Organization, options: str, seconds: float
) -> tuple[int, dict[str, Any]]:
    """A reserve waits for a lock, its client's socket is shut, the lock is freed: how many reservations there are."""
    holder, watcher = database.connect(), database.connect()
    period = money.open_period(watcher, money.make_budget(acme, 1000))
    request = money.a_request(acme, money.tokens_of(watcher, acme), [period])
    gateway = psycopg.connect(database.url, autocommit=True, options=options)
    pid = gateway.info.backend_pid
    hold(holder, "SELECT budgets_lock_periods_v1(%s)", [period])
    with meanwhile(partial(_verdict_or_error, gateway, request)):
        until(lambda: waits_for_lock(watcher, pid))
        line = socket.socket(fileno=os.dup(gateway.fileno()))
        line.shutdown(socket.SHUT_RDWR)
        line.close()
    time.sleep(seconds)
    holder.execute("COMMIT")
    until(lambda: not is_alive(watcher, pid))
    row = watcher.execute("SELECT count(*) FROM budgets_reservation WHERE state = 'open'").fetchone()
    assert row is not None
    return row[0], request


def _verdict_or_error(connection: Connection, request: dict[str, Any]) -> str:
    try:
        return money.verdict(connection, request)
    except psycopg.OperationalError as error:
        return type(error).__name__


def test_a_backend_whose_client_is_gone_still_commits_and_a_void_ends_what_it_left(
    database: Database, acme: Organization
) -> None:
    """The control: without limits of their own, lost requests hold money."""
    count, request = shut_while_waiting(database, acme, "", seconds=0)
    assert count == 1
    assert money.outcome(database.connect(), money.an_ending(request, "void")) == "voided"


def test_the_limits_of_hot_connections_end_a_reserve_whose_client_is_gone(
    database: Database, acme: Organization
) -> None:
    count, request = shut_while_waiting(database, acme, SERVER_OPTIONS, seconds=0.5)
    assert count == 0
    assert money.outcome(database.connect(), money.an_ending(request, "void")) == "already_voided"
