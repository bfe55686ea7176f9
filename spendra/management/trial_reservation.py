"""A whole reserve and settle against the real functions and tables, of which nothing is left behind."""

import json
from dataclasses import asdict
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from apps.budgets.models import Budget, GovernanceVersion, Period, PeriodKind
from apps.budgets.periods import lock_rank, window
from apps.budgets.types import PeriodKey
from apps.ledger.models import LedgerEntry
from apps.orgs.models import Organization
from spendra.kernel.clock import database_now
from spendra.kernel.errors import SpendraError
from spendra.kernel.ids import uuid7

_EVERYBODY = "00000000-0000-0000-0000-000000000000"
_CAP, _AMOUNT, _COST = 100, 80, 60


class TrialFailed(SpendraError):
    code = "trial_failed"


def run() -> None:
    """Reserves and settles for an organization of its own, checks every number, and rolls all of it back.

    Raises TrialFailed, or the database's error. Disturbs nobody: the deferred triggers that would move the rules'
    version never fire, and the fence is taken shared, as by any request.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'")
        organization = Organization.objects.create(slug=f"db-smoke-{uuid4().hex[:12]}", name="db_smoke")
        token = GovernanceVersion.objects.create(id=organization.id, token=uuid4()).token
        period_id = _open_period(_create_budget(organization))
        first = _request(organization, str(token), amount=_AMOUNT)
        too_much = _request(organization, str(token), amount=_CAP + 1)
        _expect("reserve", _reserve(period_id, [first, too_much]), ["granted", "exceeded"])
        _expect("reserved", _counters(period_id), (0, _AMOUNT))
        _expect("settle", _settle(first, period_id), ["settled"])
        _expect("settled", _counters(period_id), (_COST, 0))
        entries = LedgerEntry.objects.filter(organization_id=organization.id).values_list("amount_nanos", flat=True)
        _expect("entries", list(entries), [_COST])
        transaction.set_rollback(True)


def _create_budget(organization: Organization) -> Budget:
    return Budget.objects.create(
        organization=organization, amount=_CAP, period_kind=PeriodKind.TOTAL, counts_from_now=True
    )


def _open_period(budget: Budget) -> int:
    now = database_now()
    bounds = window(period_kind=budget.period_kind, at=now, zone=ZoneInfo("UTC"), week_starts_on=0)
    key = PeriodKey(
        budget_id=str(budget.id),
        unit_id=None,
        organization_id=str(budget.organization_id),
        label=bounds.label,
        starts_at=bounds.starts_at.isoformat(),
        ends_at=bounds.ends_at.isoformat(),
        lock_rank=lock_rank(None),
        wanted_at=now.isoformat(),
    )
    [opened] = _call("SELECT budgets_open_periods_v2(%s::jsonb)", json.dumps([asdict(key)]))
    return int(opened["id"])


def _request(organization: Organization, token: str, *, amount: int) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT token::text FROM budgets_governanceversion WHERE id = %s", [_EVERYBODY])
        everybody = cursor.fetchone()
    return {
        "id": str(uuid7()),
        "organization_id": str(organization.id),
        "organization_token": token,
        "global_token": everybody and everybody[0],
        "nanos": amount,
        "tokens": 1,
        "positions": [1],
        "valid_from": "1970-01-01T00:00:00Z",
        "valid_until": "9999-01-01T00:00:00Z",
        "lifetime_seconds": 60,
        "key_id": "db_smoke",
        "actor_id": str(organization.id),
        "process_id": str(uuid7()),
        "request_id": "db_smoke",
        "provider": "openai",
        "model": "db_smoke",
        "price_version_id": None,
        "scope_ids": [str(organization.id)],
    }


def _reserve(period_id: int, requests: list[dict[str, Any]]) -> list[str]:
    reply = _call("SELECT budgets_reserve_v3(%s::bigint[], %s::jsonb)", [period_id], json.dumps(requests))
    return [verdict["verdict"] for verdict in reply["verdicts"]]


def _settle(request: dict[str, Any], period_id: int) -> list[str]:
    ending = {
        "id": request["id"],
        "kind": "settle",
        "entry_id": str(uuid7()),
        "cost_nanos": _COST,
        "tokens": 1,
        "status": "final",
        "usage": {"request": 1},
        "reservation": {**request, "period_ids": [period_id]},
    }
    return [outcome["outcome"] for outcome in _call("SELECT budgets_settle_v2(%s::jsonb)", json.dumps([ending]))]


def _counters(period_id: int) -> tuple[int, int]:
    period = Period.objects.get(id=period_id)
    return period.settled, period.reserved


def _call(statement: str, *parameters: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        answer = cursor.fetchone()[0]
        return json.loads(answer) if isinstance(answer, str) else answer


def _expect(step: str, found: object, expected: object) -> None:
    if found != expected:
        raise TrialFailed(f"A trial reservation went wrong: {step} gave {found}, not {expected}.")
