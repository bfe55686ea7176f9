from collections.abc import Mapping
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction

from apps.audit.recording import AuditTrail
from apps.budgets import allocating, seeding
from apps.budgets.models import Budget, Hardness, Measure, PeriodKind, amount_in_words
from apps.keys.queries import find_key
from apps.orgs import organizations
from apps.orgs.models import Organization, Unit, UnitKind
from apps.orgs.queries import units_by_id
from apps.policies import selectors
from spendra.kernel import clock
from spendra.kernel.errors import Conflict, Invalid, NotFound
from spendra.kernel.money import MAX_CAP_NANOS

_TRAIL = AuditTrail(
    room="budgets",
    kind="budget",
    fields=(
        "unit_id", "applies_to_each", "measure", "period_kind", "hardness", "selector", "fixed_starts_at",
        "fixed_ends_at", "counts_from_now", "allocated_from_id",
    ),
)  # fmt: skip


@transaction.atomic
def set_cap(
    *,
    organization: Organization,
    unit: Unit | None = None,
    applies_to_each: str = "",
    measure: str = Measure.NANOS,
    period_kind: str,
    amount: int,
    hardness: str = Hardness.HARD,
    selector: Mapping[str, object] | None = None,
    allocated_from: Budget | None = None,
    fixed_starts_at: datetime | None = None,
    fixed_ends_at: datetime | None = None,
    counts_from_now: bool = False,
    acting: str,
    reason: str = "",
) -> Budget:
    """Creates the one budget of that scope, measure, period, hardness and selector, or changes its amount and,
    where one is given, what it is allocated from.

    From the commit on it binds the next request of every gateway. A new budget's current period then counts what its
    window had seen before, unless `counts_from_now` or hosted tools select, of which entries say nothing.
    NotFound for another organization's unit, key or budget, Invalid for values that cannot be, Conflict where an
    allocation does not fit. Locks the organization's row, then the budget it is allocated from, then its own.
    """
    organizations.lock(organization)
    wanted = _checked(
        Budget(
            organization=organization,
            unit=unit,
            applies_to_each=applies_to_each,
            measure=measure,
            period_kind=period_kind,
            hardness=hardness,
            selector={} if selector is None else selector,
            fixed_starts_at=fixed_starts_at,
            fixed_ends_at=fixed_ends_at,
            amount=amount,
            counts_from_now=counts_from_now,
        )
    )
    budget = _same_budget(wanted)
    if budget is None:
        return _create(wanted, parent=allocated_from, acting=acting, reason=reason)
    return _change(budget, wanted, parent=allocated_from, acting=acting, reason=reason)


@transaction.atomic
def change_amount(
    budget: Budget, *, amount: int, expected_amount: int | None = None, acting: str, reason: str = ""
) -> Budget:
    """Moves a cap; no period is touched, and the next request meets the new one, also where more is spent already.

    Two changes take turns, and the later one stands; whoever passes the amount that he saw as `expected_amount` gets a
    Conflict instead where it was changed in the meantime. Conflict as well where an allocation does not fit, Invalid
    for an archived budget. Locks the budget that it is allocated from, then its own row.
    """
    _check_amount(amount)
    current = allocating.lock(budget)
    if current.archived_at is not None:
        raise Invalid("This budget is archived: set a new cap instead.")
    if expected_amount is not None and current.amount != expected_amount:
        raise Conflict(
            f"Somebody has changed this cap to {amount_in_words(current.amount, current.measure)} in the meantime.",
            details={"amount": str(current.amount)},
        )
    if amount < current.amount:
        allocating.check_holds(current, amount=amount)
    elif current.allocated_from_id is not None:
        allocating.check_fits(current, amount=amount)
    before, after = {"amount": str(current.amount)}, {"amount": str(amount)}
    if before != after:
        current.amount = amount
        current.save(update_fields=["amount"])
        _TRAIL.record("change_cap", current, before=before, after=after, acting=acting, reason=reason)
    return current


@transaction.atomic
def archive_cap(budget_id: UUID, *, organization: Organization, acting: str, reason: str = "") -> Budget:
    """Ends a budget: the next request is no longer held to it; its periods keep counting what is under way. Idempotent.
    What it was allocated is free again.

    NotFound where it is not the organization's, Conflict while others are allocated from it. Locks the budget's row.
    """
    budget = Budget.objects.filter(id=budget_id, organization=organization).first()
    if budget is None:
        raise NotFound(f"There is no budget {budget_id} in {organization}.")
    current = allocating.lock(budget)
    if current.archived_at is None:
        allocating.check_holds(current, amount=None)
        current.archived_at = clock.now()
        current.save(update_fields=["archived_at"])
        after = {"archived_at": current.archived_at}
        _TRAIL.record("archive_cap", current, after=after, acting=acting, reason=reason)
    return current


def _checked(wanted: Budget) -> Budget:
    """With its unit as it is now and its selector in one order, or NotFound or Invalid."""
    _check_choices(wanted)
    _check_amount(wanted.amount)
    _check_fixed_range(wanted)
    if wanted.unit is not None:
        wanted.unit = _usable(wanted.organization, wanted.unit)
    wanted.selector = _checked_selector(wanted.organization, wanted.selector)
    # Of tools, entries say nothing: there is no past to count.
    wanted.counts_from_now = wanted.counts_from_now or "tools" in wanted.selector
    return wanted


def _create(budget: Budget, *, parent: Budget | None, acting: str, reason: str) -> Budget:
    if parent is not None:
        allocating.join(budget, parent=parent)
    budget.save(force_insert=True)
    after = {**_TRAIL.state(budget), "amount": str(budget.amount)}
    _TRAIL.record("set_cap", budget, after=after, acting=acting, reason=reason)
    # Robust: the cap stands whether or not this works. What is not seeded here is seeded by whoever meets it.
    transaction.on_commit(partial(seeding.open_current, budget.id), robust=True)
    return budget


def _change(budget: Budget, wanted: Budget, *, parent: Budget | None, acting: str, reason: str) -> Budget:
    if parent is not None and budget.allocated_from_id != parent.id:
        allocating.allocate(
            budget,
            organization=wanted.organization,
            parent=parent,
            amount=wanted.amount,
            acting=acting,
            reason=reason,
        )
    return change_amount(budget, amount=wanted.amount, acting=acting, reason=reason)


def _same_budget(wanted: Budget) -> Budget | None:
    return Budget.objects.filter(
        organization_id=wanted.organization_id,
        unit=wanted.unit,
        applies_to_each=wanted.applies_to_each,
        measure=wanted.measure,
        period_kind=wanted.period_kind,
        hardness=wanted.hardness,
        selector=wanted.selector,
        fixed_starts_at=wanted.fixed_starts_at,
        fixed_ends_at=wanted.fixed_ends_at,
        archived_at=None,
    ).first()


def _usable(organization: Organization, unit: Unit) -> Unit:
    (current,) = units_by_id(organization, [unit.id])
    if current.archived_at is not None:
        raise Invalid(f"The {current} is archived. Restore it, or choose another.", param="unit")
    return current


def _checked_selector(organization: Organization, selector: Mapping[str, object]) -> dict[str, list[str]]:
    """In one order, so that two that say the same are the same."""
    parsed = selectors.parse(selector)
    for key_id in parsed.key_ids:
        find_key(key_id, organization=organization)
    return {name: sorted(values) for name, values in parsed.as_json().items()}


def _check_choices(wanted: Budget) -> None:
    choices = (
        ("applies_to_each", wanted.applies_to_each, ["", *UnitKind.values]),
        ("measure", wanted.measure, Measure.values),
        ("period_kind", wanted.period_kind, PeriodKind.values),
        ("hardness", wanted.hardness, Hardness.values),
    )
    for name, value, known in choices:
        if value not in known:
            raise Invalid(f"{value!r} is no {name}: choose one of {', '.join(filter(None, known))}.", param=name)


def _check_amount(amount: int) -> None:
    if not 0 <= amount <= MAX_CAP_NANOS:
        raise Invalid(f"A cap is 0 to {MAX_CAP_NANOS}, not {amount}.", param="amount")


def _check_fixed_range(wanted: Budget) -> None:
    starts_at, ends_at = wanted.fixed_starts_at, wanted.fixed_ends_at
    if wanted.period_kind != PeriodKind.FIXED:
        if starts_at or ends_at:
            raise Invalid("Only a fixed period has a start and an end of its own.", param="fixed_starts_at")
        return
    if starts_at is None or ends_at is None:
        raise Invalid("A fixed period needs a start and an end.", param="fixed_starts_at")
    if starts_at.tzinfo is None or ends_at.tzinfo is None:
        raise Invalid("The start and the end of a fixed period need a time zone.", param="fixed_starts_at")
    if starts_at >= ends_at:
        raise Invalid("A fixed period must end after it starts.", param="fixed_ends_at")
