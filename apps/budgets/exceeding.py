"""Promise 1 keeps reserves under the cap; what stands above one all the same is counted here, by cause."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from apps.budgets import queries, retention
from apps.budgets.models import Budget, BudgetOverride, Hardness, PeriodKind, amount_in_words
from apps.budgets.types import PeriodState
from apps.orgs.models import Organization
from apps.orgs.queries import units_by_id
from spendra.kernel.clock import database_now

# An each-budget may be above its cap for thousands of units.
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class AboveCap:
    """`causes` add up to `above`: overage, late_settle, failover, override_ended, cap_lowered (or set below what was
    spent)."""

    period: PeriodState
    above: int
    causes: dict[str, int]


# By what reservations of the period ended above what they had held. An hour for a clock put back.
_OUTGROWN = """
    SELECT coalesce(sum(greatest(booked - amount, 0)) FILTER (WHERE end_cause IN ('settled', 'overage')), 0),
           coalesce(sum(greatest(booked - amount, 0)) FILTER (WHERE is_late), 0),
           coalesce(sum(booked) FILTER (WHERE end_cause = 'recovered'), 0)
    FROM (SELECT end_cause, is_late,
                 CASE %(measure)s WHEN 'nanos' THEN booked_nanos WHEN 'tokens' THEN booked_tokens ELSE 0 END AS booked,
                 CASE %(measure)s WHEN 'nanos' THEN amount_nanos WHEN 'tokens' THEN amount_tokens ELSE 0 END AS amount
          FROM budgets_reservation
          WHERE organization_id = %(organization)s AND %(period)s = ANY (period_ids) AND state <> 'open'
            AND id >= spendra_uuid7_floor_v1(greatest(%(starts_at)s::timestamptz - interval '1 hour', 'epoch'))) ended
"""


def above_caps(organization: Organization, budget_ids: Sequence[UUID]) -> list[AboveCap]:
    """Running periods of those hard budgets in which more is spent and held than the cap in force. Reads all that was
    reserved in such a period: to look at, not for each request."""
    return [
        AboveCap(period, -period["remaining"], _causes(organization, period))
        for period in _periods_above(organization, budget_ids)
    ]


def warnings(organization: Organization, budget: Budget) -> list[str]:
    """A sentence for each running period in which more is spent and held than this cap (the furthest above, where they
    are many), and what it could not count."""
    above = sorted(_periods_above(organization, [budget.id]), key=lambda period: period["remaining"])
    named, more = above[:_MOST_NAMED], len(above) - _MOST_NAMED
    units = units_by_id(organization, sorted({UUID(period["unit_id"]) for period in named if period["unit_id"]}))
    names = {str(unit.id): f" of {unit}" for unit in units}
    told = [_warning(period, names.get(period["unit_id"] or "", "")) for period in named]
    told += [f"Warning: {more} more periods are above this cap."] if more > 0 else []
    return [*told, *retention.warnings(budget)]


def _periods_above(organization: Organization, budget_ids: Sequence[UUID]) -> list[PeriodState]:
    periods = queries.running_periods(organization, budget_ids)
    return [period for period in periods if period["hardness"] == Hardness.HARD and period["remaining"] < 0]


def _warning(period: PeriodState, of_unit: str) -> str:
    if period["settled"] <= period["cap"]:
        until = "what running requests have reserved is free again"
    elif period["period_kind"] == PeriodKind.TOTAL:
        until = "it is raised"
    else:
        until = period["ends_at"]
    return (
        f"Warning: {amount_in_words(-period['remaining'], period['measure'])} more than this cap are spent or reserved "
        f"in {period['label']}{of_unit}: requests are refused until {until}."
    )


def _causes(organization: Organization, period: PeriodState) -> dict[str, int]:
    overage, late, failover = _outgrown(organization, period)
    wanted = (
        ("overage", overage),
        ("late_settle", late),
        ("failover", failover),
        ("override_ended", _given_by_overrides(period)),
        ("cap_lowered", -period["remaining"]),
    )
    rest, causes = -period["remaining"], {}
    for cause, amount in wanted:
        part = min(rest, amount)
        if part > 0:
            causes[cause] = part
            rest -= part
    return causes


def _outgrown(organization: Organization, period: PeriodState) -> tuple[int, int, int]:
    parameters: dict[str, Any] = {
        "organization": organization.id,
        "period": period["id"],
        "measure": period["measure"],
        "starts_at": period["starts_at"],
    }
    with connection.cursor() as cursor:
        cursor.execute(_OUTGROWN, parameters)
        overage, late, failover = map(int, cursor.fetchone())
    return overage, late, failover


def _given_by_overrides(period: PeriodState) -> int:
    """How far the highest override that was in force in the period, and is over, stood above the cap of now."""
    overrides = BudgetOverride.objects.filter(
        budget_id=period["budget_id"], starts_at__lt=database_now(), ends_at__gt=period["starts_at"]
    )
    highest = max((override.amount for override in overrides if _was_in_force(override)), default=0)
    return highest - period["cap"]


def _was_in_force(override: BudgetOverride) -> bool:
    return override.ended_at is None or override.ended_at > override.starts_at
