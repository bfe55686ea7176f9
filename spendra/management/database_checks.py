"""What must be true of the database for the promises to hold: each check is one sentence about it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, LiteralString

import psycopg
from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from apps.budgets import quarantining
from apps.budgets.connecting import CALL_SECONDS, LOCK_TIMEOUT, POOLER_BETWEEN, SERVER_OPTIONS
from apps.budgets.maintenance import partitions_ahead
from spendra.kernel.errors import SpendraError
from spendra.management import trial_reservation

Status = Literal["ok", "warning", "failed"]

_OLDEST_SERVER = 16
_FEWEST_MONTHS = 2
# The sum that docs/configuration.md gives: what each gateway process, the dashboard and the worker hold at most.
PER_GATEWAY_PROCESS = 8
DASHBOARD_AND_WORKER = 20
_WHICH_DATABASE: LiteralString = "SELECT concat_ws(' ', pg_postmaster_start_time(), current_database())"
_PARTITIONED = ("budgets_reservation", "ledger_spendevent", "ledger_ledgerentry")
_UPDATED = ("budgets_period", "budgets_reservation", "budgets_governanceversion", "keys_key")


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    status: Status
    says: str


def run_all(*, gateway_processes: int) -> Iterator[Finding]:
    """Each check by itself: one that fails, or meets an error, does not keep the others from being told.

    Raises OperationalError where there is no database to look at.
    """
    connection.ensure_connection()
    yield _found("server version", _server_version)
    yield _found("migrations", _migrations)
    yield _found("rights", _rights)
    yield _found("snapshots", _snapshots)
    yield _found("durability", _durability)
    yield _found("standby", _standby)
    yield _found("connections", lambda: _connections(gateway_processes))
    yield _found("gateway sessions", _gateway_sessions)
    yield _found("partitions", _partitions)
    yield _found("quarantine", _quarantine)
    yield _found("reserve and settle", _reserve_and_settle)


def _found(check: str, look: Callable[[], tuple[Status, str]]) -> Finding:
    try:
        status, says = look()
    except (DatabaseError, psycopg.Error, SpendraError) as error:
        status, says = "failed", " ".join(str(error).split())
    return Finding(check, status, says)


def _server_version() -> tuple[Status, str]:
    version = int(_setting("server_version_num")) // 10_000
    if version < _OLDEST_SERVER:
        return "failed", f"This is PostgreSQL {version}; Spendra needs {_OLDEST_SERVER} or later."
    return "ok", f"PostgreSQL {_setting('server_version')}"


def _migrations() -> tuple[Status, str]:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in missing[:5])
        return "failed", f"{len(missing)} migrations are not applied ({names}): run manage.py migrate."
    return "ok", "every migration is applied"


def _rights() -> tuple[Status, str]:
    tables = sorted({model._meta.db_table for model in apps.get_models() if model._meta.managed})
    missing = _rows(
        "SELECT format('%%s on %%s', wanted, name) FROM ("
        "  SELECT name, wanted FROM unnest(%s::text[]) name, unnest(ARRAY['SELECT', 'INSERT']) wanted"
        "  UNION ALL SELECT name, 'UPDATE' FROM unnest(%s::text[]) name) needed "
        "WHERE to_regclass(name) IS NOT NULL AND NOT has_table_privilege(to_regclass(name), wanted)",
        tables,
        list(_UPDATED),
    )
    if missing:
        return "failed", f"This role lacks rights: {', '.join(missing[:5])}. Grant them, or own the tables."
    foreign = _rows(
        "SELECT relname::text FROM pg_class WHERE oid = ANY (%s::regclass[]) AND NOT pg_has_role(relowner, 'USAGE')",
        list(_PARTITIONED),
    )
    if foreign:
        return "warning", (
            f"This role does not own {', '.join(foreign)}: it cannot make their partitions. "
            "Run manage.py migrate as their owner before twelve months have passed."
        )
    return "ok", "this role may read, write and make partitions"


def _snapshots() -> tuple[Status, str]:
    (grant,) = _rows(
        "SELECT CASE WHEN NOT pg_has_role('pg_read_all_stats', 'USAGE')"
        " THEN format('GRANT pg_read_all_stats TO %%I;', current_user) END"
    )
    if grant:
        return "warning", (
            "This role does not see the transactions of others: an old snapshot of theirs, which makes hot rows slow, "
            f"is missing in spendra_oldest_snapshot_seconds. As a superuser: {grant}"
        )
    return "ok", "this role sees the transactions of every role"


def _durability() -> tuple[Status, str]:
    values = {name: _setting(name) for name in ("fsync", "full_page_writes", "synchronous_commit")}
    off = [name for name, value in values.items() if value == "off"]
    told = ", ".join(f"{name}={value}" for name, value in values.items())
    if not off:
        return "ok", told
    says = f"{' and '.join(off)} is off: a crash of the server would lose spend that was already settled."
    return ("failed" if settings.IS_PRODUCTION else "warning"), says


def _standby() -> tuple[Status, str]:
    names = _setting("synchronous_standby_names")
    if names:
        return "ok", f"synchronous_standby_names={names}"
    return "warning", "No synchronous standby: a failover, unlike a crash, may lose the last settled requests."


def _connections(gateway_processes: int) -> tuple[Status, str]:
    most = int(_setting("max_connections"))
    kept = int(_setting("superuser_reserved_connections")) + int(_setting("reserved_connections"))
    needed = gateway_processes * PER_GATEWAY_PROCESS + DASHBOARD_AND_WORKER
    told = (
        f"{gateway_processes} gateway processes need {needed} connections with dashboard and worker; "
        f"the server has {most - kept} to give"
    )
    if needed > most - kept:
        return "failed", f"{told}: raise max_connections, or run fewer processes."
    return "ok", told


def _gateway_sessions() -> tuple[Status, str]:
    """Of the connections on which money moves, which may go past a pooler."""
    with _connect_as_gateways() as gateways:
        lock_timeout, database = (_value(gateways, asked) for asked in ("SHOW lock_timeout", _WHICH_DATABASE))
    if lock_timeout != LOCK_TIMEOUT:
        return "failed", f"Gateways can't serve: {POOLER_BETWEEN}."
    if [database] != _rows(_WHICH_DATABASE):
        return "failed", "SPENDRA_DATABASE_DIRECT_URL is another database than DATABASE_URL."
    return "ok", "gateways have sessions of their own in this database"


def _connect_as_gateways() -> psycopg.Connection[Any]:
    if settings.DATABASE_DIRECT_URL == settings.DATABASE_URL:
        return psycopg.connect(**{**connection.get_connection_params(), "options": SERVER_OPTIONS})
    return psycopg.connect(settings.DATABASE_DIRECT_URL, options=SERVER_OPTIONS, connect_timeout=CALL_SECONDS)


def _value(gateways: psycopg.Connection[Any], statement: LiteralString) -> str:
    row = gateways.execute(statement).fetchone()
    return str(row[0]) if row else ""


def _partitions() -> tuple[Status, str]:
    ahead = partitions_ahead()
    if ahead < _FEWEST_MONTHS:
        return "failed", f"There are partitions for {max(ahead, 0)} months ahead: start the worker, or run migrate."
    return "ok", f"there are partitions for {ahead} months ahead"


def _quarantine() -> tuple[Status, str]:
    waiting = quarantining.waiting()
    if waiting:
        return "warning", quarantining.in_words(len(waiting))
    return "ok", "Postgres has refused nothing that had to be booked"


def _reserve_and_settle() -> tuple[Status, str]:
    trial_reservation.run()
    return "ok", "a trial reservation was granted, one above the cap refused, the cost booked, all of it rolled back"


def _setting(name: str) -> str:
    (value,) = _rows("SELECT current_setting(%s)", name)
    return value


def _rows(statement: str, *parameters: Any) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return [row[0] for row in cursor.fetchall()]
