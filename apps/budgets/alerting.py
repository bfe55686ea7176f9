"""Alert policies: which thresholds of which budgets were crossed. The outbox's consumer of `ledger.entry_booked`, so
that no request waits for it.

A level is looked at, not an event: an entry, what it made of its periods and its message are one commit, so whoever
takes the last message of a period sees all that was settled in it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import Q

from apps.budgets.models import Budget, Measure, Period, PeriodKind
from apps.budgets.queries import states_of
from apps.budgets.types import PeriodState
from apps.keys.queries import database_now
from apps.ledger.models import LedgerEntry
from apps.orgs.models import ACTOR_KINDS, Unit
from apps.outbox.types import Message
from apps.policies import selectors
from apps.policies.comparing import covers
from apps.policies.contents import Alert
from apps.policies.queries import alerts_of
from apps.policies.selectors import Selector
from apps.policies.types import PolicyRule
from spendra.kernel.errors import Invalid
from spendra.kernel.ids import uuid7

CONSUMER = "budgets.thresholds"
TOPIC = "policies.threshold_crossed"

# Windows of rates are full all the time, and are forgotten when they end.
_RATES = ~Q(budget__measure=Measure.NANOS) & Q(budget__period_kind__in=(PeriodKind.MINUTE, PeriodKind.HOUR))
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
    organizations = {message.organization_id for message in messages if message.organization_id is not None}
    alerts = alerts_of(organizations, at=database_now())
    if not alerts:
        return
    watched = _watched([message for message in messages if message.organization_id in alerts])
    crossings = [
        crossing for one in watched for rule in alerts[one.period.organization_id] for crossing in _crossings(rule, one)
    ]
    if crossings:
        with connection.cursor() as cursor:
            cursor.execute("SELECT budgets_note_crossings_v1(%s::jsonb)", [orjson.dumps(crossings).decode()])


def _watched(messages: Sequence[Message]) -> Iterator[_Watched]:
    periods = {period.id: period for period in _periods(messages)}
    units = {unit for period in periods.values() if (unit := _unit_id(period)) is not None}
    kinds: dict[UUID, str] = dict(Unit.objects.filter(id__in=units).values_list("id", "kind"))
    above = _scopes_above(units)
    for state in states_of(list(periods)):
        if state is not None:
            period = periods[state["id"]]
            unit = _unit_id(period)
            selector = _selector(period.budget, kinds.get(unit, "") if unit else "")
            yield _Watched(period, state, frozenset({None, *above.get(unit, ())}), selector)


def _periods(messages: Sequence[Message]) -> list[Period]:
    """Those that the entries of these messages were counted in, and that alerts are about."""
    booked = [datetime.fromisoformat(message.payload["booked_at"]) for message in messages]
    entries = LedgerEntry.objects.filter(
        id__in=[message.payload["entry_id"] for message in messages], booked_at__range=(min(booked), max(booked))
    )
    ids = {period for periods in entries.values_list("period_ids", flat=True) for period in periods}
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
