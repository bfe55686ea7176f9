"""Which routes outlive a change of the rules: those that rest on nothing that moved. To work out all of them again at
each of a thousand changes a minute would cost more than the changes themselves."""

from collections.abc import Mapping, Set
from operator import attrgetter
from uuid import UUID

from apps.gateway.routing import Route
from apps.gateway.rules import OrganizationRules

# What moves in these tables concerns the routes of a scope or of a key; in any other, all of them.
_OF_KEYS = frozenset({"keys_key", "keys_grant"})
_OF_UNITS = frozenset({"orgs_unit", "orgs_unitedge"})
_OF_BUDGETS = frozenset({"budgets_budget", "budgets_budgetoverride"})
# The newest of them: each takes two microseconds, of everybody's time.
MOST_KEPT = 256
_SLOTS: tuple[str, ...] = Route.__slots__
_values = attrgetter(*_SLOTS)


def kept_routes(
    held: OrganizationRules, after: OrganizationRules, names: Mapping[str, Set[str]]
) -> dict[tuple[str, str, str], Route]:
    """Those of `held` that would be worked out alike from `after`, as of `after`. `names` is what moved in between."""
    if not names.keys() <= _OF_KEYS | _OF_UNITS | _OF_BUDGETS:
        return {}
    scopes = _scopes(held, after, names)
    return {
        name: _under(after, route)
        for name, route in list(held.routes.items())[-MOST_KEPT:]
        if after.keys.get(route.key.key_id) is route.key and scopes.isdisjoint(route.scope_ids)
    }


def _scopes(held: OrganizationRules, after: OrganizationRules, names: Mapping[str, Set[str]]) -> Set[str]:
    """Of which something moved: units themselves, those whose parents did, those of budgets, before and after."""
    scopes = {str(UUID(name)) for table in _OF_UNITS for name in names.get(table, ())}
    for budget_id in (UUID(name) for table in _OF_BUDGETS for name in names.get(table, ())):
        budgets = (rules.budgets.get(budget_id) for rules in (held, after))
        scopes |= {str(budget.unit_id or after.id) for budget in budgets if budget is not None}
    return scopes


def _under(rules: OrganizationRules, route: Route) -> Route:
    """Another object: who has the route in hands goes on under the rules that it was found in. Copied by hand, since
    `copy` and `replace` take three times as long."""
    kept = Route.__new__(Route)
    for slot, value in zip(_SLOTS, _values(route), strict=True):
        setattr(kept, slot, value)
    kept.rules = rules
    return kept
