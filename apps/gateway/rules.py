"""What a gateway decides by: immutable, all of one moment, with the token that the database compares at reserve."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

from apps.catalog.types import CatalogSnapshot

if TYPE_CHECKING:
    from apps.gateway.routing import Route


@dataclass(frozen=True, slots=True)
class UnitRule:
    id: UUID
    kind: str
    name: str
    is_archived: bool


@dataclass(frozen=True, slots=True)
class BudgetRule:
    id: UUID
    unit_id: UUID | None
    applies_to_each: str
    measure: str
    period_kind: str
    is_hard: bool
    fixed_starts_at: datetime | None
    fixed_ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyRule:
    key_id: str
    secret_sha256: bytes
    actor_id: UUID
    project_id: UUID | None
    max_reservation_nanos: int | None
    default_output_tokens: int | None
    expires_at: datetime | None
    is_revoked: bool
    grants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccountRule:
    base_url: str
    credential_reference: str


@dataclass(frozen=True, slots=True)
class CatalogRules:
    token: str
    catalog: CatalogSnapshot


@dataclass(frozen=True, slots=True)
class OrganizationRules:
    id: UUID
    token: str
    last_change: int  # the number of the newest note of a change that is in here; 0 where none is kept
    slug: str
    zone: ZoneInfo
    week_starts_on: int
    default_output_tokens: int | None
    requires_cap: bool
    is_suspended: bool
    units: Mapping[UUID, UnitRule]
    parents: Mapping[UUID, tuple[UUID, ...]]
    keys: Mapping[str, KeyRule]
    budgets: Mapping[UUID, BudgetRule]
    accounts: Mapping[str, AccountRule]
    budgets_of: Mapping[UUID | None, tuple[BudgetRule, ...]]  # the same budgets by scope; None is the organization
    # Routes already worked out from this snapshot and one catalog, by key, provider and model; they go when it goes.
    routes: "dict[tuple[str, str, str], Route]" = field(default_factory=dict, compare=False, repr=False)


def budgets_by_scope(budgets: Iterable[BudgetRule]) -> dict[UUID | None, tuple[BudgetRule, ...]]:
    """In the order of their ids within a scope."""
    scopes: dict[UUID | None, list[BudgetRule]] = {}
    for budget in sorted(budgets, key=lambda budget: budget.id.int):
        scopes.setdefault(budget.unit_id, []).append(budget)
    return {scope: tuple(of_scope) for scope, of_scope in scopes.items()}
