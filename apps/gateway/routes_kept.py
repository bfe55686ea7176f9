"""Which routes outlive changes of the rules: those that rest on nothing that moved. To work out all of them again at
each of a thousand changes a minute would cost more than the changes themselves.

A change only notes what moved; whether a route may be kept is asked when its next request comes.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apps.gateway.routing import Route
    from apps.gateway.rules import CatalogRules, OrganizationRules

Name = tuple[str, str, str]

MOST_KEPT = 10_000
_OF_A_SNAPSHOT = frozenset({"rules", "catalog"})


class KeptRoutes:
    """Of one organization, for all snapshots that were followed from one whole load. Routes are kept without their
    snapshot, which would otherwise live as long as the least used of them."""

    def __init__(self) -> None:
        # As of which change, and under which catalog, each was worked out.
        self._routes: dict[Name, tuple[int, str, Route]] = {}
        # The last change of each scope, key, or of "" for all there is.
        self._moved: dict[str, int] = {}

    def note(self, moved: Iterable[str], *, change: int) -> None:
        self._moved.update(dict.fromkeys(moved, change))

    def keep(self, name: Name, route: "Route") -> None:
        if len(self._routes) >= MOST_KEPT:
            self._routes.clear()
        self._routes[name] = (route.rules.last_change, route.catalog.token, _copy(route))

    def find(self, name: Name, rules: "OrganizationRules", catalog: "CatalogRules") -> "Route | None":
        """The route as of these rules, where it would be worked out alike from them."""
        known = self._routes.get(name)
        if known is None:
            return None
        change, catalog_token, kept = known
        if not change <= rules.last_change or catalog_token != catalog.token:
            return None
        if rules.keys.get(kept.key.key_id) is not kept.key:
            return None
        if any(self._moved.get(one, 0) > change for one in ("", kept.key.key_id, *kept.scope_ids)):
            return None
        route = _copy(kept)
        route.rules, route.catalog = rules, catalog
        return route


def moved_by(held: "OrganizationRules", after: "OrganizationRules", moved: Mapping[str, Set[Any]]) -> Iterator[str]:
    """What routes rest on and is not the same any more: scopes, keys, "" for all there is. `moved` are the names of the
    rules that differ, by the part that they are of. A key is told by its own rule, and approvals no route knows."""
    for part, names in moved.items():
        if part in ("units", "parents"):
            yield from map(str, names)
        elif part in ("budgets", "policies", "freezes"):
            for rules in (held, after):
                found = getattr(rules, part)
                yield from (_place(found[name], rules) for name in names if name in found)
        elif part not in ("keys", "approvals"):
            yield ""


def _place(rule: Any, rules: "OrganizationRules") -> str:
    """Of a budget or a policy its scope; of a freeze what it freezes."""
    target_kind = getattr(rule, "target_kind", None)
    if target_kind is None:
        return str(rule.unit_id or rules.id)
    return "" if target_kind == "provider_account" else str(rule.target_id)


def _copy(route: "Route") -> "Route":
    """Without its snapshot; by hand, since `copy` and `replace` take three times as long."""
    copied = object.__new__(type(route))
    for slot in route.__slots__:
        if slot not in _OF_A_SNAPSHOT:
            setattr(copied, slot, getattr(route, slot))
    return copied
