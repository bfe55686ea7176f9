"""The rules of a snapshot by what a request looks them up by: made at once, or kept up as rules move."""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from apps.gateway.rules import BudgetRule, OrganizationRules
from apps.policies.evaluation import freezes_by_target
from apps.policies.types import ApprovalRule, PolicyRule

Rule = TypeVar("Rule")


@dataclass(frozen=True)
class Grouping(Generic[Rule]):
    """`index` holds the rules of `part` by their group, each group in the order of `order`."""

    part: str
    index: str
    group: Callable[[Rule], Any]
    order: Callable[[Rule], int]

    def of(self, rules: Iterable[Rule]) -> dict[Any, tuple[Rule, ...]]:
        groups: dict[Any, list[Rule]] = {}
        for rule in sorted(rules, key=self.order):
            groups.setdefault(self.group(rule), []).append(rule)
        return {name: tuple(of_group) for name, of_group in groups.items()}

    def after(
        self,
        index: Mapping[Any, tuple[Rule, ...]],
        *,
        before: Mapping[Any, Rule],
        now: Mapping[Any, Rule],
        moved: Set[Any],
    ) -> dict[Any, tuple[Rule, ...]]:
        """The index of `now`, from that of `before`: only the groups of what moved are made again."""
        arriving = [now[name] for name in moved if name in now]
        leaving = [before[name] for name in moved if name in before]
        touched = {self.group(rule) for rule in (*arriving, *leaving)}
        gone = {id(rule) for rule in leaving}
        after = dict(index)
        staying = [rule for group in touched for rule in after.pop(group, ()) if id(rule) not in gone]
        after.update(self.of([*staying, *arriving]))
        return after


def _unit(rule: BudgetRule | PolicyRule) -> UUID | None:
    return rule.unit_id


def _key(approval: ApprovalRule) -> str:
    return approval.key_id


GROUPINGS: tuple[Grouping[Any], ...] = (
    Grouping[BudgetRule]("budgets", "budgets_of", _unit, lambda budget: budget.id.int),
    Grouping[PolicyRule]("policies", "policies_of", _unit, lambda policy: policy.version_id.int),
    Grouping[ApprovalRule]("approvals", "approvals_of", _key, lambda approval: approval.id.int),
)


def indexes(parts: Mapping[str, Mapping[Any, Any]]) -> dict[str, Any]:
    """Every index, of whole parts."""
    grouped = {grouping.index: grouping.of(parts[grouping.part].values()) for grouping in GROUPINGS}
    return {**grouped, "freeze_of": freezes_by_target(parts["freezes"].values())}


def indexes_after(held: OrganizationRules, part: str, now: Mapping[Any, Any], moved: Set[Any]) -> dict[str, Any]:
    """The index of the part, where it has one, once `moved` is as it is in `now`."""
    if part == "freezes":
        return {"freeze_of": freezes_by_target(now.values())}
    return {
        grouping.index: grouping.after(getattr(held, grouping.index), before=getattr(held, part), now=now, moved=moved)
        for grouping in GROUPINGS
        if grouping.part == part
    }
