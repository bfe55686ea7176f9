"""Rules as a gateway holds them, without a database."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from apps.catalog.types import CatalogEntry, CatalogSnapshot, StoredVersion
from apps.gateway.rules import AccountRule, BudgetRule, CatalogRules, KeyRule, OrganizationRules, UnitRule
from apps.gateway.rules_indexes import indexes
from apps.policies import selectors
from apps.policies.types import ApprovalRule, FreezeRule, PolicyRule

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
ACME = UUID(int=1)
KEY_ID = "key1"
MODEL = "gpt-4.1"


def unit_id(number: int) -> UUID:
    return UUID(int=1000 + number)


def make_budget(number: int, *, unit: int | None = None, selector: object = (), **changes: Any) -> BudgetRule:
    fields = {
        "applies_to_each": "", "measure": "nanos", "period_kind": "month", "is_hard": True, "fixed_starts_at": None,
        "fixed_ends_at": None, **changes,
    }  # fmt: skip
    scope = None if unit is None else unit_id(unit)
    return BudgetRule(id=UUID(int=2000 + number), unit_id=scope, selector=selectors.parse(selector or {}), **fields)


def make_snapshot(
    *,
    kinds: Mapping[int, str],
    parents: Mapping[int, Iterable[int]] | None = None,
    actor: int,
    project: int | None = None,
    budgets: Iterable[BudgetRule] = (),
    policies: Iterable[PolicyRule] = (),
    freezes: Iterable[FreezeRule] = (),
    approvals: Iterable[ApprovalRule] = (),
    requires_cap: bool = False,
    max_reservation_nanos: int | None = None,
) -> OrganizationRules:
    key = KeyRule(
        key_id=KEY_ID, environment="production", secret_sha256=b"", actor_id=unit_id(actor),
        project_id=None if project is None else unit_id(project), max_reservation_nanos=max_reservation_nanos,
        default_output_tokens=None, expires_at=None, is_revoked=False, grants=("*/*",),
    )  # fmt: skip
    parts: dict[str, Mapping[Any, Any]] = {
        "units": {unit_id(n): UnitRule(unit_id(n), kind, f"number {n}", False) for n, kind in kinds.items()},
        "parents": {unit_id(n): tuple(map(unit_id, above)) for n, above in (parents or {}).items()},
        "keys": {KEY_ID: key},
        "budgets": {budget.id: budget for budget in budgets},
        "accounts": {"openai": AccountRule("", "env:X")},
        "policies": {rule.version_id: rule for rule in policies},
        "freezes": {UUID(int=3000 + n): freeze for n, freeze in enumerate(freezes)},
        "approvals": {approval.id: approval for approval in approvals},
    }
    return OrganizationRules(
        id=ACME, token="token", last_change=0, slug="acme", zone=ZoneInfo("UTC"), week_starts_on=0,
        fiscal_year_starts_month=1, default_output_tokens=None, requires_cap=requires_cap, is_suspended=False,
        **parts, **indexes(parts),
    )  # fmt: skip


def make_catalog() -> CatalogRules:
    lines = "input 0 1000000000 standard\noutput 0 1000000000 standard"
    version = StoredVersion(UUID(int=7), None, 1, datetime(1970, 1, 1, tzinfo=UTC), lines)
    return CatalogRules(
        "token", CatalogSnapshot({("openai", MODEL): CatalogEntry("openai", MODEL, 1000, 100, (version,))})
    )
