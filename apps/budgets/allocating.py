"""Budgets allocated from the budget of a wider scope: together they never amount to more than it does.

Base amounts alone count; an override moves neither side. Each check holds the wider budget's row, and locks go from the
wider to the narrower budget, so that two people at once can neither exceed it nor wait for each other.
"""

from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet, Sum

from apps.audit.recording import AuditTrail
from apps.budgets.models import Budget, amount_in_words
from apps.orgs.models import Organization, UnitEdge
from apps.orgs.scopes import scope_set
from spendra.kernel.errors import Conflict, Invalid, NotFound

_TRAIL = AuditTrail(room="budgets", kind="budget", fields=("allocated_from_id",))
_ALIKE = (
    ("measure", "measure"), ("period_kind", "period"), ("fixed_starts_at", "range"), ("fixed_ends_at", "range"),
)  # fmt: skip


@transaction.atomic
def allocate(
    budget: Budget,
    *,
    organization: Organization,
    parent: Budget,
    amount: int | None = None,
    acting: str,
    reason: str = "",
) -> Budget:
    """Makes an existing budget a part of that of a wider scope, or of another one than before. Idempotent. `amount` is
    what the caller is about to make it, in the same transaction.

    NotFound where either is not the organization's, Invalid where they don't go together, Conflict where the rest of
    the wider one is too small. Locks the wider budget, then this one.
    """
    held, current = _row(parent, organization), _row(budget, organization)
    if current.allocated_from_id != held.id:
        before = _TRAIL.state(current)
        _join(current, held, current.amount if amount is None else amount)
        current.save(update_fields=["allocated_from"])
        _TRAIL.record_change("allocate_cap", current, before=before, acting=acting, reason=reason)
    return current


@transaction.atomic
def release(budget: Budget, *, organization: Organization, acting: str, reason: str = "") -> Budget:
    """Makes a budget stand for itself; its part of the wider one is free. Idempotent. Locks its row."""
    current = _row(budget, organization)
    if current.allocated_from_id is not None:
        before = _TRAIL.state(current)
        current.allocated_from = None
        current.save(update_fields=["allocated_from"])
        _TRAIL.record_change("release_cap", current, before=before, acting=acting, reason=reason)
    return current


def join(budget: Budget, *, parent: Budget) -> None:
    """Before a new budget is saved: the same checks, in its transaction."""
    _join(budget, _row(parent, budget.organization), budget.amount)


def lock(budget: Budget) -> Budget:
    """The budget as it is now, with the row it is allocated from held before it. Conflict where that moved just now."""
    parent_id = Budget.objects.values_list("allocated_from_id", flat=True).get(id=budget.id)
    if parent_id is not None:
        _held(parent_id)
    current = _held(budget.id)
    if current.allocated_from_id != parent_id:
        raise Conflict("Somebody is changing what this budget is allocated from: try again.")
    return current


def check_fits(budget: Budget, *, amount: int) -> None:
    """Conflict where the budget it is allocated from, whose row the caller holds, has no room for that amount."""
    if budget.allocated_from_id is not None:
        _check_room(Budget.objects.get(id=budget.allocated_from_id), budget, amount)


def check_holds(budget: Budget, *, amount: int | None) -> None:
    """Conflict where what is allocated from the budget comes to more than that amount; None: where anything is."""
    allocated = _sum(budget.allocations.filter(archived_at=None))
    if amount is None and budget.allocations.filter(archived_at=None).exists():
        raise Conflict("Other budgets are allocated from this one: release or archive them first.")
    if amount is not None and allocated > amount:
        raise Conflict(
            f"{amount_in_words(allocated, budget.measure)} are allocated from this budget, more than "
            f"{amount_in_words(amount, budget.measure)}.",
            param="amount",
            details={"allocated": str(allocated), "asked": str(amount)},
        )


def _join(budget: Budget, parent: Budget, amount: int) -> None:
    _check_alike(budget, parent)
    _check_below(budget, parent)
    _check_room(parent, budget, amount)
    budget.allocated_from = parent


def _check_alike(budget: Budget, parent: Budget) -> None:
    if parent.archived_at is not None or budget.archived_at is not None:
        raise Invalid("An archived budget takes no part in an allocation.", param="allocated_from")
    for field, name in _ALIKE:
        if getattr(budget, field) != getattr(parent, field):
            raise Invalid(f"A budget is allocated from one of the same {name}.", param="allocated_from")
    if parent.selector not in ({}, budget.selector):
        raise Invalid("A budget is allocated from one that counts the same requests.", param="allocated_from")
    if budget.applies_to_each or parent.applies_to_each:
        raise Invalid("A budget for each unit has no one amount to allocate.", param="allocated_from")


def _check_below(budget: Budget, parent: Budget) -> None:
    if budget.unit_id is None or budget.unit_id == parent.unit_id:
        is_below = False
    else:
        is_below = parent.unit_id is None or parent.unit_id in scope_set(budget.unit_id, None, _parents(budget))
    if not is_below:
        raise Invalid("A budget is allocated from that of a scope above its own.", param="allocated_from")


def _check_room(parent: Budget, budget: Budget, amount: int) -> None:
    free = parent.amount - _sum(parent.allocations.filter(archived_at=None).exclude(id=budget.id))
    if amount > free:
        raise Conflict(
            f"{amount_in_words(max(free, 0), parent.measure)} of {amount_in_words(parent.amount, parent.measure)} are "
            f"not allocated yet, less than {amount_in_words(amount, parent.measure)}.",
            param="amount",
            details={"free": str(free), "asked": str(amount), "allocated_from": str(parent.id)},
        )


def _sum(budgets: "QuerySet[Budget]") -> int:
    return int(budgets.aggregate(total=Sum("amount"))["total"] or 0)


def _parents(budget: Budget) -> dict[UUID, list[UUID]]:
    parents: dict[UUID, list[UUID]] = {}
    edges = UnitEdge.objects.filter(organization_id=budget.organization_id).values_list("child_id", "parent_id")
    for child, parent in edges:
        parents.setdefault(child, []).append(parent)
    return parents


def _row(budget: Budget, organization: Organization) -> Budget:
    if budget.organization_id != organization.id:
        raise NotFound(f"There is no budget {budget.id} in {organization}.")
    return _held(budget.id)


def _held(budget_id: UUID) -> Budget:
    return Budget.objects.select_for_update(no_key=True, of=("self",)).get(id=budget_id)
