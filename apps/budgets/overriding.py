"""Temporary changes of a cap, dated, with an author and a reason. The base stays and is in force again afterwards."""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.audit.recording import AuditTrail
from apps.budgets import allocating
from apps.budgets.models import Budget, BudgetOverride
from apps.orgs.models import Organization
from spendra.kernel.clock import database_now
from spendra.kernel.errors import Conflict, Invalid, NotFound
from spendra.kernel.money import MAX_CAP_NANOS

_LONGEST_REASON = 500
_TRAIL = AuditTrail(
    room="budgets", kind="override", fields=("budget_id", "starts_at", "ends_at", "ended_at", "author", "reason")
)


@transaction.atomic
def override_cap(
    budget_id: UUID,
    *,
    organization: Organization,
    amount: int,
    starts_at: datetime | None = None,
    ends_at: datetime,
    acting: str,
    reason: str,
) -> BudgetOverride:
    """Another cap from `starts_at` (now) until `ends_at`, by the database's clock; requests that run across either
    instant settle as they would have, and the next one meets what is in force then.

    NotFound where the budget is not the organization's, Invalid for values that cannot be and for an archived budget,
    Conflict where another override of it is in force for any of that time. Locks the budget's row.
    """
    budget = _locked(budget_id, organization)
    now = database_now()
    override = BudgetOverride(
        budget=budget,
        organization=organization,
        amount=amount,
        starts_at=starts_at or now,
        ends_at=ends_at,
        author=acting,
        reason=reason.strip(),
    )
    _check(override, starts_at, now)
    try:
        with transaction.atomic():
            override.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict("This budget has another override for some of that time: end it first.") from error
    after = {**_TRAIL.state(override), "amount": str(amount), "base": str(budget.amount)}
    _TRAIL.record("override_cap", override, after=after, acting=acting, reason=reason)
    return override


@transaction.atomic
def end_override(override_id: UUID, *, organization: Organization, acting: str, reason: str = "") -> BudgetOverride:
    """Ends an override before its time, or before it begins: the next request meets the base again. Idempotent.

    NotFound where it is not the organization's. Locks the budget's row.
    """
    override = BudgetOverride.objects.filter(id=override_id, organization=organization).first()
    if override is None:
        raise NotFound(f"There is no override {override_id} in {organization}.")
    allocating.lock(override.budget)
    override.refresh_from_db()
    now = database_now()
    if override.ended_at is None and now < override.ends_at:
        before = _TRAIL.state(override)
        override.ended_at = now
        override.save(update_fields=["ended_at"])
        _TRAIL.record_change("end_override", override, before=before, acting=acting, reason=reason)
    return override


def _locked(budget_id: UUID, organization: Organization) -> Budget:
    budget = Budget.objects.filter(id=budget_id, organization=organization).first()
    if budget is None:
        raise NotFound(f"There is no budget {budget_id} in {organization}.")
    current = allocating.lock(budget)
    if current.archived_at is not None:
        raise Invalid("This budget is archived: no request is held to it.")
    return current


def _check(override: BudgetOverride, starts_at: datetime | None, now: datetime) -> None:
    if not 0 <= override.amount <= MAX_CAP_NANOS:
        raise Invalid(f"A cap is 0 to {MAX_CAP_NANOS}, not {override.amount}.", param="amount")
    if not 1 <= len(override.reason) <= _LONGEST_REASON:
        raise Invalid(
            f"An override needs a reason of 1 to {_LONGEST_REASON} characters: it is what others will ask for.",
            param="reason",
        )
    if override.starts_at.tzinfo is None or override.ends_at.tzinfo is None:
        raise Invalid("The start and the end of an override need a time zone.", param="ends_at")
    if starts_at is not None and starts_at < now:
        raise Invalid("An override can't begin in the past: what was decided then stays.", param="starts_at")
    if override.ends_at <= override.starts_at:
        raise Invalid("An override must end after it begins.", param="ends_at")
