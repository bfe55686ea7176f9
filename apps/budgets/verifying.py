"""Proof that counters, reservations and entries agree. Reads only; may run beside any traffic: each statement has one
snapshot, in which a settle is there whole or not at all, and is short enough not to keep vacuum from the hot rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from apps.orgs.models import Organization

_CHUNK_SIZE = 20_000


@dataclass(frozen=True, slots=True)
class Difference:
    check: str
    object_id: str
    found: str
    expected: str


def verify() -> Iterator[Difference]:
    """Every row that differs from what the others say; none means that the books are right. Takes no lock."""
    for organization_id in Organization.objects.order_by("id").values_list("id", flat=True):
        yield from _differences(_PERIODS, {"organization": organization_id})
    yield from _differences(_PERIOD_REFERENCES, {})
    yield from _verify_reservations()
    yield from _verify_entries()


def _verify_reservations() -> Iterator[Difference]:
    first = UUID(int=0)
    while True:
        [(last, since)] = _rows(_CHUNK, {"first": first, "size": _CHUNK_SIZE})
        if last is None:
            return
        yield from _differences(_RESERVATIONS, {"first": first, "last": last, "since": since})
        first = last


def _verify_entries() -> Iterator[Difference]:
    [(month, end)] = _rows("SELECT min(booked_at), max(booked_at) FROM ledger_ledgerentry", {})
    while month is not None and month <= end:
        following = month + timedelta(days=31)
        yield from _differences(_ENTRIES, {"since": month, "until": following})
        month = following


def _differences(statement: str, parameters: dict[str, Any]) -> Iterator[Difference]:
    for check, object_id, found, expected in _rows(statement, parameters):
        yield Difference(check, str(object_id), str(found), str(expected))


def _rows(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


# Sums by period id, never by time: everything of a reservation books into the periods it was reserved in.
_PERIODS = """
WITH booked AS (
    SELECT p AS id, sum(e.amount_nanos) AS nanos, sum(e.tokens) AS tokens,
           count(*) FILTER (WHERE e.kind = 'charge') - count(*) FILTER (WHERE e.cause = 'late_void') AS requests
    FROM ledger_ledgerentry e, unnest(e.period_ids) p WHERE e.organization_id = %(organization)s GROUP BY p
), held AS (
    SELECT p AS id, sum(r.amount_nanos) AS nanos, sum(r.amount_tokens) AS tokens, count(*) AS requests
    FROM budgets_reservation r, unnest(r.period_ids) p
    WHERE r.state = 'open' AND r.organization_id = %(organization)s GROUP BY p
), compared AS (
    SELECT q.id, q.settled, q.reserved, q.seeded,
        q.seeded + coalesce(CASE b.measure WHEN 'nanos' THEN booked.nanos WHEN 'tokens' THEN booked.tokens
                                           ELSE booked.requests END, 0) AS right_settled,
        coalesce(CASE b.measure WHEN 'nanos' THEN held.nanos WHEN 'tokens' THEN held.tokens ELSE held.requests END, 0)
            AS right_reserved
    FROM budgets_period q JOIN budgets_budget b ON b.id = q.budget_id
    LEFT JOIN booked ON booked.id = q.id LEFT JOIN held ON held.id = q.id
    WHERE q.organization_id = %(organization)s
)
SELECT 'period_settled', id, settled, right_settled FROM compared WHERE settled <> right_settled
UNION ALL SELECT 'period_reserved', id, reserved, right_reserved FROM compared WHERE reserved <> right_reserved
UNION ALL SELECT 'period_not_negative', id, least(settled, reserved, seeded), 0 FROM compared
          WHERE least(settled, reserved, seeded) < 0
"""

_PERIOD_REFERENCES = """
SELECT 'period_' || missing, q.id, found, 'a row' FROM budgets_period q,
    LATERAL (VALUES
        ('organization', q.organization_id, EXISTS (SELECT FROM orgs_organization o WHERE o.id = q.organization_id)),
        ('budget', q.budget_id, EXISTS (SELECT FROM budgets_budget b
                                        WHERE b.id = q.budget_id AND b.organization_id = q.organization_id)),
        ('unit', q.unit_id, q.unit_id IS NULL OR EXISTS (
            SELECT FROM orgs_unit u WHERE u.id = q.unit_id AND u.organization_id = q.organization_id))
    ) AS reference (missing, found, is_there) WHERE NOT is_there
"""

# Nothing is booked before it is reserved (an hour for a clock put back): that spares the entries of older months.
_CHUNK = """
SELECT (array_agg(id ORDER BY id DESC))[1], min(reserved_at) - interval '1 hour'
FROM (SELECT id, reserved_at FROM budgets_reservation WHERE id > %(first)s ORDER BY id LIMIT %(size)s) chunk
"""

# A reservation ends once: a charge where it was settled or expired, none where it was voided, a correction where late.
_RESERVATIONS = """
WITH chunk AS (
    SELECT * FROM budgets_reservation WHERE id > %(first)s AND id <= %(last)s
), booked AS (
    SELECT c.id, count(e.id) FILTER (WHERE e.kind = 'charge') AS charges,
        count(e.id) FILTER (WHERE e.kind = 'correction') AS corrections,
        count(e.id) FILTER (WHERE e.kind = 'correction' AND e.corrects_id IS DISTINCT FROM c.entry_id) AS astray,
        count(e.id) FILTER (WHERE e.period_ids <> c.period_ids OR e.organization_id <> c.organization_id) AS elsewhere,
        coalesce(sum(e.amount_nanos), 0) AS nanos, coalesce(sum(e.tokens), 0) AS tokens,
        min(e.id::text) FILTER (WHERE e.kind = 'charge') AS charge
    FROM chunk c LEFT JOIN ledger_ledgerentry e ON e.reservation_id = c.id AND e.booked_at >= %(since)s GROUP BY 1
)
SELECT checked.name, c.id, checked.found, checked.expected
FROM chunk c JOIN booked b ON b.id = c.id, LATERAL (VALUES
    ('reservation_charges', b.charges::text, CASE WHEN c.state IN ('settled', 'expired') THEN '1' ELSE '0' END),
    ('reservation_corrections', b.corrections::text, CASE WHEN c.is_late THEN '1' ELSE '0' END),
    ('reservation_correction_points_at_its_charge', b.astray::text, '0'),
    ('reservation_entries_in_its_periods', b.elsewhere::text, '0'),
    ('reservation_booked_nanos', c.booked_nanos::text, b.nanos::text),
    ('reservation_booked_tokens', c.booked_tokens::text, b.tokens::text),
    ('reservation_entry', coalesce(c.entry_id::text, 'none'), coalesce(b.charge, 'none')),
    ('reservation_ended', (c.ended_at IS NOT NULL AND c.end_cause <> '')::text, (c.state <> 'open')::text),
    ('reservation_late_only_if_expired', (c.is_late AND c.state <> 'expired')::text, 'false'),
    ('reservation_organization', EXISTS (SELECT FROM orgs_organization o WHERE o.id = c.organization_id)::text, 'true'),
    ('reservation_actor', EXISTS (SELECT FROM orgs_unit u WHERE u.id = c.actor_id)::text, 'true'),
    ('reservation_key', EXISTS (SELECT FROM keys_key k WHERE k.key_id = c.key_id)::text, 'true'),
    ('reservation_periods', (SELECT count(*) FROM budgets_period q
                             WHERE q.id = ANY (c.period_ids) AND q.organization_id = c.organization_id)::text,
                            cardinality(c.period_ids)::text)
) AS checked (name, found, expected) WHERE checked.found <> checked.expected
"""

_ENTRIES = """
SELECT checked.name, e.id, checked.found, checked.expected
FROM ledger_ledgerentry e
LEFT JOIN budgets_reservation r ON r.id = e.reservation_id
LEFT JOIN ledger_spendevent s ON s.id = e.spend_event_id AND s.booked_at = e.booked_at, LATERAL (VALUES
    ('entry_reservation', (r.id IS NOT NULL)::text, 'true'),
    ('entry_spend_event', coalesce(s.id::text, 'none'), coalesce(e.spend_event_id::text, 'none')),
    ('entry_spend_event_reservation', coalesce(s.reservation_id, e.reservation_id)::text, e.reservation_id::text),
    ('entry_amount_of_its_spend_event',
     CASE WHEN e.kind = 'charge' THEN coalesce(s.cost_nanos, e.amount_nanos) ELSE e.amount_nanos END::text,
     e.amount_nanos::text)
) AS checked (name, found, expected)
WHERE e.booked_at >= %(since)s AND e.booked_at < %(until)s AND checked.found <> checked.expected
UNION ALL
SELECT 'spend_event_entry', s.id, 'none', 'an entry' FROM ledger_spendevent s
WHERE s.booked_at >= %(since)s AND s.booked_at < %(until)s
  AND NOT EXISTS (SELECT FROM ledger_ledgerentry e WHERE e.spend_event_id = s.id AND e.booked_at = s.booked_at)
"""
