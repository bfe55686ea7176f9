"""What a gateway decides by: immutable, all of one moment, with the token that the database compares at reserve."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

from apps.catalog.types import CatalogSnapshot
from apps.gateway.routes_kept import KeptRoutes
from apps.policies.selectors import Selector
from apps.policies.types import ApprovalRule, FreezeRule, PolicyRule

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
    selector: Selector | None  # None where this release can't read it: then it counts every request of its scope


@dataclass(frozen=True, slots=True)
class KeyRule:
    key_id: str
    environment: str
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
    fiscal_year_starts_month: int
    default_output_tokens: int | None
    requires_cap: bool
    is_suspended: bool
    units: Mapping[UUID, UnitRule]
    parents: Mapping[UUID, tuple[UUID, ...]]
    keys: Mapping[str, KeyRule]
    budgets: Mapping[UUID, BudgetRule]
    accounts: Mapping[str, AccountRule]
    policies: Mapping[UUID, PolicyRule]  # by version
    freezes: Mapping[UUID, FreezeRule]
    approvals: Mapping[UUID, ApprovalRule]
    # The same again, by what they are looked up by. None is the organization.
    budgets_of: Mapping[UUID | None, tuple[BudgetRule, ...]]
    policies_of: Mapping[UUID | None, tuple[PolicyRule, ...]]
    freeze_of: Mapping[tuple[str, str], FreezeRule]
    approvals_of: Mapping[str, tuple[ApprovalRule, ...]]
    # Routes already found in this snapshot and one catalog, by key, provider and model.
    routes: "dict[tuple[str, str, str], Route]" = field(default_factory=dict, compare=False, repr=False)
    # Those of all snapshots that were followed from the same load.
    kept: KeptRoutes = field(default_factory=KeptRoutes, compare=False, repr=False)
