"""Builders and calls for everything that tests the money core: SQL functions on plain connections."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import psycopg

from apps.budgets import seeding
from apps.budgets.models import Budget
from apps.budgets.types import PeriodKey
from apps.keys.models import Key
from apps.orgs.models import Organization, Unit
from spendra.kernel.ids import uuid7

NIL = "00000000-0000-0000-0000-000000000000"
PROCESS = str(UUID(int=7))
FOREVER = {"valid_from": "1970-01-01T00:00:00Z", "valid_until": "9999-01-01T00:00:00Z"}


def make_organization(slug: str = "acme", **fields: Any) -> Organization:
    return Organization.objects.create(slug=slug, name=slug.title(), **fields)


def make_unit(organization: Organization, name: str = "Ada", kind: str = "employee") -> Unit:
    return Unit.objects.create(organization=organization, name=name, kind=kind)


def make_key(organization: Organization, actor: Unit) -> dict[str, Any]:
    """What a request says of who pays."""
    Key.objects.create(organization=organization, actor=actor, key_id=f"key-{actor.id}", secret_sha256=b"")
    return identity(organization, [actor])


def identity(organization: Organization, scopes: Sequence[Unit]) -> dict[str, Any]:
    """Of a request by the first unit, which lies below the others."""
    actor = scopes[0]
    ids = [*(str(unit.id) for unit in scopes), str(organization.id)]
    return {"key_id": f"key-{actor.id}", "actor_id": str(actor.id), "scope_ids": ids}


def make_budget(organization: Organization, cap: int, unit: Unit | None = None, **fields: Any) -> Budget:
    fields = {"period_kind": "total", "counts_from_now": True, **fields}
    return Budget.objects.create(organization=organization, unit=unit, amount=cap, **fields)


def beat(connection: psycopg.Connection[Any], process: str = PROCESS, seconds_ago: float = 0) -> None:
    connection.execute(
        "INSERT INTO budgets_gatewayprocess VALUES (%s, spendra_now_v1() - make_interval(secs => %s)) "
        "ON CONFLICT (id) DO UPDATE SET seen_at = EXCLUDED.seen_at",
        (process, seconds_ago),
    )


def now_of(connection: psycopg.Connection[Any]) -> datetime:
    row = connection.execute("SELECT spendra_now_v1()").fetchone()
    assert row is not None
    return row[0].astimezone(UTC)


def set_clock(connection: psycopg.Connection[Any], at: datetime) -> None:
    """The money clock of this database starts again at `at`, and runs on."""
    connection.execute(
        psycopg.sql.SQL(
            "CREATE OR REPLACE FUNCTION spendra_now_v1() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
            "$$ SELECT clock_timestamp() + (timestamptz {} - timestamptz {}) $$"
        ).format(at.isoformat(), datetime.now(UTC).isoformat())
    )


def open_periods(connection: psycopg.Connection[Any], keys: Sequence[PeriodKey]) -> list[dict[str, Any]]:
    return call(connection, "SELECT budgets_open_periods_v2(%s::jsonb)", [asdict(key) for key in keys])


def open_period(connection: psycopg.Connection[Any], budget: Budget, unit: Unit | None = None) -> int:
    [period] = open_periods(connection, [seeding.period_key(budget, at=now_of(connection), each=unit)])
    return period["id"]


def tokens_of(connection: psycopg.Connection[Any], organization: Organization) -> dict[str, str]:
    rows = connection.execute(
        "SELECT id::text, token::text FROM budgets_governanceversion WHERE id = ANY (%s::uuid[])",
        ([NIL, str(organization.id)],),
    ).fetchall()
    tokens = dict(rows)
    return {"organization_token": tokens[str(organization.id)], "global_token": tokens[NIL]}


def a_request(
    organization: Organization, rules: dict[str, str], periods: Sequence[int], nanos: int = 100, **fields: Any
) -> dict[str, Any]:
    return {
        "id": str(uuid7()),
        "organization_id": str(organization.id),
        **rules,
        "nanos": nanos,
        "tokens": 10,
        "period_ids": list(periods),
        **FOREVER,
        "lifetime_seconds": 600,
        "key_id": "key",
        "actor_id": str(UUID(int=1)),
        "process_id": PROCESS,
        "request_id": "req",
        "provider": "openai",
        "model": "gpt-test",
        "price_version_id": None,
        "scope_ids": [str(organization.id)],
        **fields,
    }


def reserve(connection: psycopg.Connection[Any], *requests: dict[str, Any]) -> list[dict[str, Any]]:
    wanted: dict[int, int] = {}
    items = [
        {**request, "positions": [wanted.setdefault(period, len(wanted) + 1) for period in request["period_ids"]]}
        for request in requests
    ]
    row = connection.execute(
        "SELECT budgets_reserve_v3(%s::bigint[], %s::jsonb)::text", (list(wanted), orjson.dumps(items).decode())
    ).fetchone()
    assert row is not None
    return orjson.loads(row[0])["verdicts"]


def verdict(connection: psycopg.Connection[Any], request: dict[str, Any]) -> str:
    [answer] = reserve(connection, request)
    return answer["verdict"]


def an_ending(request: dict[str, Any], kind: str = "settle", cost: int = 60, **fields: Any) -> dict[str, Any]:
    return {
        "id": request["id"],
        "kind": kind,
        "entry_id": str(uuid7()),
        "cost_nanos": cost,
        "tokens": 6,
        "status": "final",
        "model": None,
        "usage": {"input": 1} if kind == "settle" else None,
        "price_version_id": None,
        "reservation": request,
        **fields,
    }


def end(connection: psycopg.Connection[Any], *endings: dict[str, Any]) -> list[dict[str, Any]]:
    return call(connection, "SELECT budgets_settle_v2(%s::jsonb)", list(endings))


def outcome(connection: psycopg.Connection[Any], ending: dict[str, Any]) -> str:
    [answer] = end(connection, ending)
    return answer["outcome"]


def counters(connection: psycopg.Connection[Any], period: int) -> tuple[int, int]:
    row = connection.execute("SELECT settled, reserved FROM budgets_period WHERE id = %s", (period,)).fetchone()
    assert row is not None
    return row[0], row[1]


def amounts_booked(connection: psycopg.Connection[Any]) -> list[tuple[str, str, str, int]]:
    return connection.execute(
        "SELECT kind, status, cause, amount_nanos FROM ledger_ledgerentry ORDER BY booked_at, id"
    ).fetchall()


def call(connection: psycopg.Connection[Any], statement: str, items: list[dict[str, Any]]) -> Any:
    row = connection.execute(statement, (orjson.dumps(items).decode(),)).fetchone()
    assert row is not None
    return row[0]
