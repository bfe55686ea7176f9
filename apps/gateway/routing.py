"""From a key and a model to everything that a request needs and that does not depend on the request: pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from apps.budgets.periods import lock_rank
from apps.catalog.pricing import price_in_force
from apps.catalog.types import CatalogEntry, ModelPrices, PriceInForce
from apps.gateway.routes_kept import Name
from apps.gateway.rules import AccountRule, BudgetRule, CatalogRules, KeyRule, OrganizationRules, UnitRule
from apps.keys.patterns import matcher
from apps.orgs.scopes import scope_set
from apps.policies import evaluation, sentences
from apps.policies.clearing import Clearance, clearance
from apps.policies.types import Decision, PolicyRule, RequestView, RulesWindow
from spendra.kernel.errors import (
    Frozen,
    KeyRejected,
    ModelNotFound,
    ModelNotGranted,
    ModelUnpriced,
    OrganizationSuspended,
    ProviderNotConfigured,
)

NO_TOOLS: frozenset[str] = frozenset()
NEVER = datetime(9999, 1, 1, tzinfo=UTC)
# Sets of budgets that a route remembers, should clients name ever other hosted tools.
MOST_CHOICES = 64


@dataclass(frozen=True, slots=True)
class AppliedBudget:
    """A budget that applies to a request; `unit_id` where an each-budget gives that unit one of its own."""

    budget: BudgetRule
    unit_id: UUID | None
    lock_rank: int


@dataclass(frozen=True, slots=True)
class Window:
    """The periods of some budgets at one time, and the time for which they and the rest of the decision hold."""

    budgets: tuple[AppliedBudget, ...]
    period_ids: list[int]  # of `budgets`, in their order
    valid_from: str
    valid_until: str
    until: datetime


@dataclass(slots=True)
class Choice:
    """The budgets of a route that apply to requests with certain hosted tools; `window` is renewed as time goes by."""

    budgets: tuple[AppliedBudget, ...]
    window: Window | None = field(default=None)


@dataclass(slots=True)
class Route:
    """All of it from one snapshot; the windows of its choices alone are renewed as time goes by."""

    rules: OrganizationRules
    catalog: CatalogRules
    key: KeyRule
    provider: str
    entry: CatalogEntry
    prices: ModelPrices
    price_version_id: str
    account: AccountRule
    budgets: tuple[AppliedBudget, ...]  # that may apply, whatever the request's tools
    policies: tuple[PolicyRule, ...]  # in force, and able to have anything against a request of this route
    clearance: Clearance  # of those
    view: RequestView  # of a request of which neither tools nor amounts are known
    scope_ids: list[str]
    organization_id: str
    actor_id: str
    valid_from: datetime
    valid_until: datetime
    cleared: Decision = field(init=False)  # on a request that `clearance` holds for
    in_shadow: tuple[UUID, ...] = field(init=False)  # the versions among `policies` that only watch
    watches_input: bool = field(init=False)  # whether what those say may change with the tokens of the input
    by_tools: tuple[int, ...] = field(init=False)  # the places in `budgets` of those that only certain tools concern
    left_out_without_tools: int = field(init=False)
    choices: dict[int, Choice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cleared = Decision("allow", (), (), self.policies)
        self.in_shadow = tuple(rule.version_id for rule in self.policies if rule.is_shadow)
        self.watches_input = any(rule.is_shadow and evaluation.weighs_input(rule.content) for rule in self.policies)
        self.by_tools = tuple(n for n, applied in enumerate(self.budgets) if _asks_for_tools(applied.budget))
        self.left_out_without_tools = self._left_out(NO_TOOLS)

    def choice(self, tools: frozenset[str] | None) -> Choice:
        """The budgets that a request with these tools counts against, None being unknown ones: then all."""
        left_out = self._left_out(tools) if tools != NO_TOOLS else self.left_out_without_tools
        choice = self.choices.get(left_out)
        if choice is None:
            if len(self.choices) >= MOST_CHOICES:
                self.choices.clear()
            budgets = tuple(applied for n, applied in enumerate(self.budgets) if not left_out >> n & 1)
            choice = self.choices[left_out] = Choice(budgets)
        return choice

    def _left_out(self, tools: frozenset[str] | None) -> int:
        """The places of those that don't count such a request, as bits."""
        if not self.by_tools:
            return 0
        view = view_of(self, tools=tools)
        places = 0
        for n in self.by_tools:
            selector = self.budgets[n].budget.selector
            if selector is not None and selector.matches(view) is False:
                places |= 1 << n
        return places


def view_of(
    route: Route, *, tools: frozenset[str] | None, nanos: int = 0, input_tokens: int = 0, output_tokens: int = 0
) -> RequestView:
    view = route.view
    return RequestView(
        view.provider, view.model, view.named_model, view.endpoint, tools, view.environment, view.key_id,
        view.actor_kind, view.scope_ids, nanos, input_tokens, output_tokens,
    )  # fmt: skip


def find_route(
    rules: OrganizationRules, catalog: CatalogRules, key: KeyRule, *, provider: str, model: str, at: datetime
) -> Route:
    """The route of the key to the model at that instant; raises Refused where there is none."""
    name = (key.key_id, provider, model)
    route = rules.routes.get(name)
    if route is None or route.catalog is not catalog or not route.valid_from <= at < route.valid_until:
        route = rules.routes[name] = _kept(name, rules, catalog, at) or _worked_out(name, rules, catalog, key, at)
    return route


def _kept(name: Name, rules: OrganizationRules, catalog: CatalogRules, at: datetime) -> Route | None:
    route = rules.kept.find(name, rules, catalog)
    return route if route is not None and route.valid_from <= at < route.valid_until else None


def _worked_out(name: Name, rules: OrganizationRules, catalog: CatalogRules, key: KeyRule, at: datetime) -> Route:
    _, provider, model = name
    route = _work_out(rules, catalog, key, provider, model, at)
    rules.kept.keep(name, route)
    return route


def _work_out(
    rules: OrganizationRules, catalog: CatalogRules, key: KeyRule, provider: str, model: str, at: datetime
) -> Route:
    check_key(rules, key, at)
    units = scopes_of(rules, key)
    check_freezes(rules, key, units, provider)
    entry = _granted_entry(catalog, key, provider, model)
    price = _price(rules, provider, entry, at)
    account = rules.accounts.get(provider)
    if account is None:
        raise ProviderNotConfigured(
            f"{rules.slug} has no account at {provider}. Ask an administrator to add one.", param="model"
        )
    view = view_for(rules, key, units, provider=provider, model=entry.model, named_model=model)
    window = policies_at(rules, units, at)
    policies = evaluation.applicable(window.rules, view)
    return Route(
        rules=rules,
        catalog=catalog,
        key=key,
        provider=provider,
        entry=entry,
        prices=price.prices,
        price_version_id=str(price.prices.version_id),
        account=account,
        budgets=tuple(applied for applied in budgets_in_scope(rules, units) if _may_apply(applied.budget, view)),
        policies=policies,
        clearance=clearance(policies, view),
        view=view,
        scope_ids=[str(rules.id), *map(str, units)],
        organization_id=str(rules.id),
        actor_id=str(key.actor_id),
        valid_from=max(price.valid_from, window.since or price.valid_from),
        valid_until=min(key.expires_at or NEVER, price.valid_until or NEVER, window.until or NEVER),
    )


def check_key(rules: OrganizationRules, key: KeyRule, at: datetime) -> None:
    """KeyRejected or OrganizationSuspended where the key may do nothing at all at that instant."""
    if key.is_revoked:
        raise KeyRejected("This key was revoked. Ask an administrator for a new one.")
    if key.expires_at is not None and key.expires_at <= at:
        raise KeyRejected(
            f"This key expired at {key.expires_at:%Y-%m-%d %H:%M} UTC. Ask an administrator for a new one."
        )
    for unit_id in (key.actor_id, key.project_id):
        if unit_id is not None:
            _check_unit(rules.units.get(unit_id))
    if rules.is_suspended:
        raise OrganizationSuspended(f"{rules.slug} is suspended: no request of its keys is forwarded.")


def _check_unit(unit: UnitRule | None) -> None:
    if unit is None:
        # Only past every use case: somebody gave the key to another organization.
        raise KeyRejected("This key belongs to a unit that its organization does not have. Ask for a new one.")
    if unit.is_archived:
        raise KeyRejected(f"The {unit.kind} that this key belongs to is archived.")


def scopes_of(rules: OrganizationRules, key: KeyRule) -> tuple[UUID, ...]:
    """The units of the key's scope set; the organization is above all of them."""
    return scope_set(key.actor_id, key.project_id, rules.parents)


def check_freezes(rules: OrganizationRules, key: KeyRule, units: tuple[UUID, ...], provider: str) -> None:
    """Frozen where the stop switch is on for the organization, one of the units, the account or the key."""
    if not rules.freeze_of:
        return
    freeze = evaluation.find_freeze(rules.freeze_of, scope_ids=(rules.id, *units), provider=provider, key_id=key.key_id)
    if freeze is None:
        return
    unit = rules.units[UUID(freeze.target_id)] if freeze.target_kind == "unit" else None
    said = sentences.frozen(freeze, unit=f"{unit.kind} {unit.name}" if unit else "")
    raise Frozen(
        f"{said.rstrip('.')}. An administrator can thaw it.",
        details={"target": freeze.target_kind, "target_id": freeze.target_id, "reason": freeze.reason},
    )


def policies_at(rules: OrganizationRules, units: tuple[UUID, ...], at: datetime) -> RulesWindow:
    return evaluation.window_of(evaluation.in_scope(rules.policies_of, units), at)


def view_for(
    rules: OrganizationRules,
    key: KeyRule,
    units: tuple[UUID, ...],
    *,
    provider: str,
    model: str,
    named_model: str,
    tools: frozenset[str] | None = None,
) -> RequestView:
    """A chat request of which no amounts are known yet."""
    return RequestView(
        provider=provider,
        model=model,
        named_model=named_model,
        endpoint="chat.completions",
        tools=tools,
        environment=key.environment,
        key_id=key.key_id,
        actor_kind=rules.units[key.actor_id].kind,
        scope_ids=(rules.id, *units),
        nanos=0,
        input_tokens=0,
        output_tokens=0,
    )


def _price(rules: OrganizationRules, provider: str, entry: CatalogEntry, at: datetime) -> PriceInForce:
    price = price_in_force(entry, rules.id, at)
    if price is None:
        raise ModelUnpriced(
            f"{provider}/{entry.model} has no price, so its spend can't be capped. Ask an administrator to set one.",
            param="model",
        )
    return price


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


def is_in_force(budget: BudgetRule, at: datetime) -> bool:
    starts_at = budget.fixed_starts_at
    return starts_at is None or starts_at <= at < (budget.fixed_ends_at or NEVER)


def _asks_for_tools(budget: BudgetRule) -> bool:
    return budget.selector is not None and bool(budget.selector.tools)


def _may_apply(budget: BudgetRule, view: RequestView) -> bool:
    """What can't be decided applies."""
    return budget.selector is None or budget.selector.matches(view) is not False


def budgets_in_scope(rules: OrganizationRules, units: tuple[UUID, ...]) -> Iterator[AppliedBudget]:
    """Of these units and of the organization, each-budgets for each unit they are for; whatever they select."""
    for budget in _budgets_of(rules, units):
        if budget.applies_to_each:
            for unit in units:
                if rules.units[unit].kind == budget.applies_to_each and _is_below(rules, unit, budget.unit_id):
                    yield AppliedBudget(budget, unit, lock_rank(rules.units[unit].kind))
        else:
            kind = None if budget.unit_id is None else rules.units[budget.unit_id].kind
            yield AppliedBudget(budget, None, lock_rank(kind))


def _budgets_of(rules: OrganizationRules, units: tuple[UUID, ...]) -> list[BudgetRule]:
    """Those whose scope is one of the request's: units above an each-budget's unit are all among them."""
    found = [budget for scope in (None, *units) for budget in rules.budgets_of.get(scope, ())]
    return sorted(found, key=lambda budget: budget.id.int)


def _is_below(rules: OrganizationRules, unit: UUID, scope: UUID | None) -> bool:
    return scope is None or (scope != unit and scope in scope_set(unit, None, rules.parents))
