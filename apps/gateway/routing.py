"""From a key and a model to everything that a request needs and that does not depend on the request: pure."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from apps.budgets.periods import lock_rank
from apps.catalog.pricing import price_in_force
from apps.catalog.types import CatalogEntry, ModelPrices
from apps.gateway.rules import AccountRule, BudgetRule, CatalogRules, KeyRule, OrganizationRules
from apps.keys.patterns import matcher
from apps.orgs.scopes import scope_set
from spendra.kernel.errors import (
    CapRequired,
    KeyRejected,
    ModelNotFound,
    ModelNotGranted,
    ModelUnpriced,
    OrganizationSuspended,
    ProviderNotConfigured,
)

NEVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class AppliedBudget:
    """A budget that applies to a request; `unit_id` where an each-budget gives that unit one of its own."""

    budget: BudgetRule
    unit_id: UUID | None
    lock_rank: int


@dataclass(frozen=True, slots=True)
class Window:
    """The periods of a route at one time, and the time for which they and the rest of the decision hold."""

    budgets: tuple[AppliedBudget, ...]
    period_ids: list[int]  # of `budgets`, in their order
    valid_from: str
    valid_until: str
    until: datetime


@dataclass(slots=True)
class Route:
    """All of it from one snapshot; `window` alone is renewed as time goes by."""

    rules: OrganizationRules
    catalog: CatalogRules
    key: KeyRule
    provider: str
    entry: CatalogEntry
    prices: ModelPrices
    price_version_id: str
    account: AccountRule
    budgets: tuple[AppliedBudget, ...]
    scope_ids: list[str]
    organization_id: str
    actor_id: str
    valid_from: datetime
    valid_until: datetime
    window: Window | None = field(default=None)


def find_route(
    rules: OrganizationRules, catalog: CatalogRules, key: KeyRule, *, provider: str, model: str, at: datetime
) -> Route:
    """The route of the key to the model at that instant; raises Refused where there is none."""
    name = (key.key_id, provider, model)
    route = rules.routes.get(name)
    if route is None or route.catalog is not catalog or not route.valid_from <= at < route.valid_until:
        route = rules.routes[name] = _work_out(rules, catalog, key, provider, model, at)
    return route


def _work_out(
    rules: OrganizationRules, catalog: CatalogRules, key: KeyRule, provider: str, model: str, at: datetime
) -> Route:
    check_key(rules, key, at)
    entry = _granted_entry(catalog, key, provider, model)
    price = price_in_force(entry, rules.id, at)
    if price is None:
        raise ModelUnpriced(
            f"{provider}/{entry.model} has no price, so its spend can't be capped. Ask an administrator to set one.",
            param="model",
        )
    account = rules.accounts.get(provider)
    if account is None:
        raise ProviderNotConfigured(
            f"{rules.slug} has no account at {provider}. Ask an administrator to add one.", param="model"
        )
    units = scope_set(key.actor_id, key.project_id, rules.parents)
    budgets = tuple(_applied_budgets(rules, units))
    if rules.requires_cap and not any(applied.budget.is_hard for applied in budgets):
        raise CapRequired(f"{rules.slug} demands a hard cap for every request, and none applies to this key's scopes.")
    return Route(
        rules=rules,
        catalog=catalog,
        key=key,
        provider=provider,
        entry=entry,
        prices=price.prices,
        price_version_id=str(price.prices.version_id),
        account=account,
        budgets=budgets,
        scope_ids=[str(rules.id), *map(str, units)],
        organization_id=str(rules.id),
        actor_id=str(key.actor_id),
        valid_from=price.valid_from,
        valid_until=min(key.expires_at or NEVER, price.valid_until or NEVER),
    )


def check_key(rules: OrganizationRules, key: KeyRule, at: datetime) -> None:
    """KeyRejected or OrganizationSuspended where the key may do nothing at all at that instant."""
    if key.is_revoked:
        raise KeyRejected("This key was revoked. Ask an administrator for a new one.")
    if key.expires_at is not None and key.expires_at <= at:
        raise KeyRejected(
            f"This key expired at {key.expires_at:%Y-%m-%d %H:%M} UTC. Ask an administrator for a new one."
        )
    for unit in (key.actor_id, key.project_id):
        if unit is not None and rules.units[unit].is_archived:
            raise KeyRejected(f"The {rules.units[unit].kind} that this key belongs to is archived.")
    if rules.is_suspended:
        raise OrganizationSuspended(f"{rules.slug} is suspended: no request of its keys is forwarded.")


def _granted_entry(catalog: CatalogRules, key: KeyRule, provider: str, model: str) -> CatalogEntry:
    entry = catalog.catalog.resolve(provider, model)
    names = {f"{provider}/{model}"} | ({f"{provider}/{entry.model}"} if entry else set())
    if not any(matcher(grant).match(name) for grant in key.grants for name in names):
        raise ModelNotGranted(
            f"This key is not granted {provider}/{model}. It may use: {', '.join(key.grants) or 'nothing yet'}.",
            param="model",
        )
    if entry is None:
        raise ModelNotFound(
            f"The catalog does not know {provider}/{model}. GET /v1/models lists what this key may use.", param="model"
        )
    return entry


def is_granted(key: KeyRule, provider: str, model: str) -> bool:
    return any(matcher(grant).match(f"{provider}/{model}") for grant in key.grants)


def _applied_budgets(rules: OrganizationRules, units: tuple[UUID, ...]) -> "list[AppliedBudget]":
    applied = []
    for budget in _budgets_of(rules, units):
        if budget.applies_to_each:
            applied += [
                AppliedBudget(budget, unit, lock_rank(rules.units[unit].kind))
                for unit in units
                if rules.units[unit].kind == budget.applies_to_each and _is_below(rules, unit, budget.unit_id)
            ]
        else:
            kind = None if budget.unit_id is None else rules.units[budget.unit_id].kind
            applied.append(AppliedBudget(budget, None, lock_rank(kind)))
    return applied


def _budgets_of(rules: OrganizationRules, units: tuple[UUID, ...]) -> list[BudgetRule]:
    """Those whose scope is one of the request's: units above an each-budget's unit are all among them."""
    found = [budget for scope in (None, *units) for budget in rules.budgets_of.get(scope, ())]
    return sorted(found, key=lambda budget: budget.id.int)


def _is_below(rules: OrganizationRules, unit: UUID, scope: UUID | None) -> bool:
    return scope is None or (scope != unit and scope in scope_set(unit, None, rules.parents))
