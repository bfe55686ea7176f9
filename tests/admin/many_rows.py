"""Tables as years of traffic leave them: rows made in the database, ids of version 7 in the order of time."""

from typing import Any
from uuid import UUID

import psycopg

ORGANIZATIONS = ("00000000-0000-7000-8000-00000000000a", "00000000-0000-7000-8000-00000000000b")
FREQUENT, RARE = ORGANIZATIONS

# One row in a thousand, the oldest ones, is somebody else's: what an index must find without reading the others.
_ROWS = """
CREATE TEMPORARY TABLE made AS
SELECT n, at, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3)
               || '8' || substr(md5(n::text), 4, 15))::uuid AS id,
       n <= %(rows)s / 1000 + 1 AS is_rare,
       CASE WHEN n <= %(rows)s / 1000 + 1 THEN %(rare)s ELSE %(frequent)s END::uuid AS organization_id
FROM (SELECT n, date_trunc('month', now()) + (now() - date_trunc('month', now())) * (n / %(rows)s::float) AS at
      FROM generate_series(1, %(rows)s) n) moments
"""
_INSERTS = (
    """
    INSERT INTO audit_auditrecord (id, at, organization_id, actor, action, object_kind, object_id, reason)
    SELECT id, at, organization_id, CASE WHEN is_rare THEN 'eve@example.com' ELSE 'ada@example.com' END,
           CASE WHEN is_rare THEN 'keys.revoke' ELSE 'keys.issue' END, 'key', 'key-' || n, '' FROM made
    """,
    "INSERT INTO outbox_outboxmessage (id, organization_id, topic, payload, created_at) "
    "SELECT id, organization_id, CASE WHEN is_rare THEN 'rare' ELSE 'ledger.entry' END, '{}', at FROM made",
    """
    INSERT INTO ledger_ledgerentry (id, organization_id, reservation_id, kind, status, cause, amount_nanos, tokens,
        provider, model, key_id, actor_id, scope_ids, period_ids, occurred_at, booked_at)
    SELECT id, organization_id, id, 'charge', CASE WHEN is_rare THEN 'estimated' ELSE 'final' END, 'settled', n, n,
        'openai', 'gpt-4.1', CASE WHEN is_rare THEN 'rare' ELSE 'frequent' END, id, '{}', '{}', at, at FROM made
    """,
    """
    INSERT INTO ledger_spendevent (id, organization_id, reservation_id, provider, model, usage, cost_nanos, status,
        occurred_at, booked_at)
    SELECT id, organization_id, id, 'openai', 'gpt-4.1', '{}', n,
        CASE WHEN is_rare THEN 'estimated' ELSE 'final' END, at, at FROM made
    """,
    """
    INSERT INTO budgets_reservation (id, organization_id, key_id, actor_id, process_id, request_id, provider, model,
        amount_nanos, amount_tokens, scope_ids, period_ids, state, reserved_at, expires_at, ended_at)
    SELECT id, organization_id, CASE WHEN is_rare THEN 'rare' ELSE 'frequent' END, id, id, 'req', 'openai', 'gpt-4.1',
        n, n, '{}', '{}', CASE WHEN is_rare THEN 'open' ELSE 'settled' END, at, at, at FROM made
    """,
    "INSERT INTO audit_auditcheckpoint (id, chain_id, place, hash, made_at, signing_key, signature) "
    "SELECT id, organization_id, n, '', at, 'key', '' FROM made",
    """
    INSERT INTO policies_refusal (id, organization_id, key_id, provider, model, code, message, details, at)
    SELECT id, organization_id, CASE WHEN is_rare THEN 'rare' ELSE 'frequent' END, 'openai', 'gpt-4.1',
        CASE WHEN is_rare THEN 'frozen' ELSE 'budget_exceeded' END, '', '{}', at FROM made
    """,
    """
    INSERT INTO budgets_governancechange (organization_id, token, table_name, row_name, changed_at)
    SELECT organization_id, id, 'keys_key', CASE WHEN is_rare THEN 'rare' ELSE 'frequent' END, at FROM made ORDER BY n
    """,
    "INSERT INTO budgets_settlequarantine (id, reservation_id, organization_id, payload, error, created_at) "
    "SELECT id, id, organization_id, '{}', '', at FROM made",
)


_PERIODS = """
INSERT INTO budgets_period (budget_id, organization_id, label, starts_at, ends_at, lock_rank, is_seeding, seeded,
    settled, reserved)
SELECT %(budget)s, organization_id, 'D' || n, at, CASE WHEN is_rare THEN timestamptz '9999-01-01' ELSE at END,
    0, false, 0, 0, 0 FROM made
"""


def fill(connection: psycopg.Connection[Any], rows: int, *, budget: UUID) -> None:
    connection.execute(_ROWS, {"rows": rows, "rare": RARE, "frequent": FREQUENT})
    for statement in _INSERTS:
        connection.execute(statement)
    connection.execute(_PERIODS, {"budget": budget})
    connection.execute("VACUUM ANALYZE")
