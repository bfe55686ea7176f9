"""Alert policies: which thresholds of which budgets were crossed. The outbox's consumer of `ledger.entry_booked`, so
that no request waits for it; and a look at every running period each minute, for what crosses without an entry: a cap
that is lowered, an override that begins or ends, history that a new budget counts, a policy that comes into force.

A level is looked at, not an event: an entry, what it made of its periods and its message are one commit, so whoever
takes the last message of a period sees all that was settled in it. Who looks first, tells.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.db.models import Q

from apps.budgets.models import Budget, Measure, Period, PeriodKind
from apps.budgets.queries import states_of
from apps.budgets.retrying import again
from apps.budgets.types import PeriodState
from apps.ledger.models import LedgerEntry
from apps.orgs.models import ACTOR_KINDS, Unit
from apps.outbox.types import Message
from apps.policies import selectors
from apps.policies.comparing import covers
from apps.policies.contents import Alert
from apps.policies.queries import alerts_of
from apps.policies.selectors import Selector
from apps.policies.types import PolicyRule
from spendra.kernel.clock import database_now
from spendra.kernel.errors import Invalid
from spendra.kernel.ids import uuid7

CONSUMER = "budgets.thresholds"
TOPIC = "policies.threshold_crossed"

# Windows of rates are full all the time, and are forgotten when they end.
_RATES = ~Q(budget__measure=Measure.NANOS) & Q(budget__period_kind__in=(PeriodKind.MINUTE, PeriodKind.HOUR))
_BATCH = 500
# Running periods of an organization in which a threshold is passed that is not noted yet (`sql/crossings_v1.sql`).
# Whether the rule is about that budget is asked afterwards, so those that it is not about come each time. Unit by unit:
# of a budget alone the index gives every window there ever was.
_PASSED = """
    SELECT p.id
    FROM spendra_now_v1() now (at)
    JOIN budgets_budget b ON b.organization_id = %(organization)s AND b.archived_at IS NULL
    CROSS JOIN LATERAL (
        SELECT NULL::uuid WHERE b.applies_to_each = ''
        UNION ALL
        SELECT u.id FROM orgs_unit u WHERE u.organization_id = b.organization_id AND u.kind = b.applies_to_each
    ) its (unit)
    JOIN LATERAL budgets_periods_after_v2(b.id, its.unit, now.at) p ON p.starts_at <= now.at AND p.settled > 0
    LEFT JOIN budgets_budgetoverride o ON o.budget_id = b.id AND o.starts_at <= now.at AND o.ends_at > now.at
        AND (o.ended_at IS NULL OR o.ended_at > now.at)
    CROSS JOIN LATERAL (SELECT coalesce(o.amount, b.amount)) in_force (cap)
    WHERE NOT budgets_is_short_v1(b.measure, b.period_kind) AND EXISTS (
        SELECT FROM jsonb_to_recordset(%(rules)s::jsonb) AS r (version uuid, threshold integer, is_shadow boolean)
        WHERE p.settled::numeric * 100 >= in_force.cap::numeric * r.threshold AND NOT EXISTS (
            SELECT FROM budgets_crossing c
            WHERE c.policy_version_id = r.version AND c.period_id = p.id AND c.threshold = r.threshold
              AND c.cap >= in_force.cap AND (r.is_shadow OR NOT c.is_shadow)))
    ORDER BY p.id
"""
_ABOVE = """
    WITH RECURSIVE above (unit, scope) AS (
        SELECT u, u FROM unnest(%s::uuid[]) u
        UNION SELECT above.unit, edge.parent_id FROM above JOIN orgs_unitedge edge ON edge.child_id = above.scope)
    SELECT unit, array_agg(scope) FROM above GROUP BY unit
"""


@dataclass(frozen=True, slots=True)
class _Watched:
    """A period as policies look at it."""

    period: Period
    state: PeriodState
    scopes: frozenset[UUID | None]  # None: the whole organization, which everything is in
    selector: Selector | None


def note_crossings(messages: Sequence[Message]) -> None:
    """Notes every threshold that the periods of these entries have crossed, once, and puts a fact for each into the
    outbox, in the caller's transaction. Locks the rows of crossings in the order of their keys."""
    alerts = alerts_of({one.organization_id for one in messages if one.organization_id is not None}, at=database_now())
    if alerts:
        _note(_booked_in([message for message in messages if message.organization_id in alerts]), alerts)


def look_again() -> int:
    """The same of every running period that passes a threshold of its cap in force, whatever made it so; returns how
    many facts that were. Short transactions of its own, an organization after the other."""
    organizations = Budget.objects.filter(archived_at=None).values_list("organization_id", flat=True).distinct()
    alerts = alerts_of(list(organizations), at=database_now())
    return sum(_look_again_at(organization_id, rules) for organization_id, rules in alerts.items())


def _look_again_at(organization_id: UUID, rules: Sequence[PolicyRule]) -> int:
    passed = _passed(organization_id, rules)
    return sum(
        again(partial(_note_in_own_transaction, passed[first : first + _BATCH], {organization_id: rules}))
        for first in range(0, len(passed), _BATCH)
    )


def _passed(organization_id: UUID, rules: Sequence[PolicyRule]) -> list[int]:
    thresholds = [
        {"version": rule.version_id, "threshold": threshold, "is_shadow": rule.is_shadow}
        for rule in rules
        if isinstance(rule.content, Alert)
        for threshold in rule.content.thresholds
    ]
    with connection.cursor() as cursor:
        cursor.execute(_PASSED, {"organization": organization_id, "rules": orjson.dumps(thresholds).decode()})
        return [id for (id,) in cursor.fetchall()]


@transaction.atomic(durable=True)
def _note_in_own_transaction(period_ids: Sequence[int], alerts: Mapping[UUID, Sequence[PolicyRule]]) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '2s'")
    return _note(_periods(period_ids), alerts)


def _note(periods: Sequence[Period], alerts: Mapping[UUID, Sequence[PolicyRule]]) -> int:
    crossings = [
        crossing
        for one in _watched(periods)
        for rule in alerts[one.period.organization_id]
        for crossing in _crossings(rule, one)
    ]
    if not crossings:
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT budgets_note_crossings_v1(%s::jsonb)", [orjson.dumps(crossings).decode()])
        return int(cursor.fetchone()[0])


def _watched(periods: Sequence[Period]) -> Iterator[_Watched]:
    by_id = {period.id: period for period in periods}
    units = {unit for period in periods if (unit := _unit_id(period)) is not None}
    kinds: dict[UUID, str] = dict(Unit.objects.filter(id__in=units).values_list("id", "kind"))
    above = _scopes_above(units)
    for state in states_of(list(by_id)):
        if state is not None:
            period = by_id[state["id"]]
            unit = _unit_id(period)
            selector = _selector(period.budget, kinds.get(unit, "") if unit else "")
            yield _Watched(period, state, frozenset({None, *above.get(unit, ())}), selector)


def _booked_in(messages: Sequence[Message]) -> list[Period]:
    """The periods that the entries of these messages were counted in."""
    booked = [datetime.fromisoformat(message.payload["booked_at"]) for message in messages]
    entries = LedgerEntry.objects.filter(
        id__in=[message.payload["entry_id"] for message in messages], booked_at__range=(min(booked), max(booked))
    )
    return _periods({period for periods in entries.values_list("period_ids", flat=True) for period in periods})


def _periods(ids: Iterable[int]) -> list[Period]:
    """Those of them that alerts are about."""
    periods = Period.objects.filter(id__in=ids, budget__archived_at=None).exclude(_RATES)
    return list(periods.select_related("budget").order_by("id"))


def _unit_id(period: Period) -> UUID | None:
    return period.unit_id or period.budget.unit_id


def _scopes_above(units: set[UUID]) -> Mapping[UUID | None, Sequence[UUID]]:
    """Of each unit, itself and all above it."""
    with connection.cursor() as cursor:
        cursor.execute(_ABOVE, [list(units)])
        return dict(cursor.fetchall())


def _selector(budget: Budget, kind: str) -> Selector | None:
    """Which requests the budget counts; None where this release can't read it. That of one actor counts its kind."""
    try:
        selector = selectors.parse(budget.selector)
    except Invalid:
        return None
    if kind in ACTOR_KINDS and not selector.actor_kinds:
        return replace(selector, actor_kinds=(kind,))
    return selector


def _is_about(rule: PolicyRule, one: _Watched) -> bool:
    """A budget of its scope that counts only requests which the policy is for. What can't be read alerts of nothing."""
    if rule.selector is None or rule.unit_id not in one.scopes:
        return False
    return rule.selector == selectors.EVERYTHING or (one.selector is not None and covers(rule.selector, one.selector))


def _crossings(rule: PolicyRule, one: _Watched) -> Iterator[dict[str, Any]]:
    settled, cap = one.state["settled"], one.state["cap"]
    if settled <= 0 or not isinstance(rule.content, Alert) or not _is_about(rule, one):
        return
    for threshold in rule.content.thresholds:
        if settled * 100 >= threshold * cap:
            yield {
                "message_id": uuid7(),
                "policy_version_id": rule.version_id,
                "period_id": one.period.id,
                "threshold": threshold,
                "organization_id": one.period.organization_id,
                "cap": cap,
                "settled": settled,
                "is_shadow": rule.is_shadow,
                "payload": _payload(rule, one, threshold),
            }


def _payload(rule: PolicyRule, one: _Watched, threshold: int) -> dict[str, Any]:
    """Amounts are text, in the budget's measure."""
    unit = _unit_id(one.period)
    return {
        "policy_id": rule.policy_id,
        "policy": rule.name,
        "version": rule.number,
        "version_id": rule.version_id,
        "budget_id": one.period.budget_id,
        "unit_id": unit,
        "measure": one.state["measure"],
        "period_id": one.period.id,
        "period": one.period.label,
        "threshold": threshold,
        "cap": str(one.state["cap"]),
        "settled": str(one.state["settled"]),
    }
