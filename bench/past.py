"""Gives a database a past: millions of settled requests in the month to which new ones are added."""

import sys

import psycopg

CHUNK = 500_000

# A settled request of each key is the pattern; its copies differ in ids and instants.
PATTERNS = """
    CREATE TEMPORARY TABLE pattern AS
    SELECT row_number() OVER () - 1 AS place, found.* FROM (
        SELECT DISTINCT ON (r.key_id) r.* FROM budgets_reservation r
        WHERE r.state = 'settled' AND EXISTS (SELECT FROM ledger_spendevent e WHERE e.reservation_id = r.id)
        ORDER BY r.key_id, r.id) found
"""
# Ids as version 7 makes them, in the order of time, from the first of the month until now.
COPIES = """
    CREATE TEMPORARY TABLE copy AS
    SELECT n %% (SELECT count(*) FROM pattern) AS place, at,
           (stem || '7' || substr(md5('r' || n), 1, 3) || '8' || substr(md5(n || 'r'), 1, 15))::uuid AS reservation_id,
           (stem || '7' || substr(md5('e' || n), 1, 3) || '8' || substr(md5(n || 'e'), 1, 15))::uuid AS entry_id
    FROM (SELECT n, at, lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') AS stem
          FROM (SELECT n, month + (now() - month) * (n / %(entries)s::float) AS at
                FROM generate_series(%(first)s::bigint, %(last)s::bigint) n,
                     date_trunc('month', now()) month) moments) stems
"""
INSERTS = (
    """
    INSERT INTO budgets_reservation (id, entry_id, reserved_at, expires_at, ended_at, organization_id, key_id, actor_id,
        process_id, request_id, provider, model, price_version_id, amount_nanos, amount_tokens, scope_ids, period_ids,
        state, end_cause, booked_nanos, booked_tokens, is_late)
    SELECT c.reservation_id, c.entry_id, c.at, c.at + interval '10 minutes', c.at, p.organization_id, p.key_id,
        p.actor_id, p.process_id, p.request_id, p.provider, p.model, p.price_version_id, p.amount_nanos,
        p.amount_tokens, p.scope_ids, p.period_ids, p.state, p.end_cause, p.booked_nanos, p.booked_tokens, p.is_late
    FROM copy c JOIN pattern p ON p.place = c.place
    """,
    """
    INSERT INTO ledger_spendevent (id, reservation_id, occurred_at, booked_at, organization_id, provider, model, usage,
        price_version_id, cost_nanos, status)
    SELECT c.entry_id, c.reservation_id, c.at, c.at, e.organization_id, e.provider, e.model, e.usage,
        e.price_version_id, e.cost_nanos, e.status
    FROM copy c JOIN pattern p ON p.place = c.place JOIN ledger_spendevent e ON e.reservation_id = p.id
    """,
    """
    INSERT INTO ledger_ledgerentry (id, spend_event_id, reservation_id, occurred_at, booked_at, organization_id, kind,
        status, cause, amount_nanos, tokens, provider, model, key_id, actor_id, scope_ids, period_ids)
    SELECT c.entry_id, c.entry_id, c.reservation_id, c.at, c.at, e.organization_id, e.kind, e.status, e.cause,
        e.amount_nanos, e.tokens, e.provider, e.model, e.key_id, e.actor_id, e.scope_ids, e.period_ids
    FROM copy c JOIN pattern p ON p.place = c.place JOIN ledger_ledgerentry e ON e.reservation_id = p.id
    """,
    """
    UPDATE budgets_period period SET settled = period.settled + added.nanos
    FROM (SELECT period_id, sum(p.booked_nanos * copies.many) AS nanos
          FROM pattern p JOIN (SELECT place, count(*) AS many FROM copy GROUP BY place) copies USING (place),
               unnest(p.period_ids) period_id
          GROUP BY period_id) added
    WHERE period.id = added.period_id
    """,
    "DROP TABLE copy",
)


def add(database_url: str, *, entries: int) -> None:
    """`entries` requests more, spread evenly over the keys that have spent; statistics and visibility as vacuum leaves
    them, so that it does not come in the middle of a measurement. The periods must be of money."""
    options = "-c synchronous_commit=off -c work_mem=256MB -c maintenance_work_mem=512MB"
    with psycopg.connect(database_url, autocommit=True, options=options) as connection:
        connection.execute(PATTERNS)
        connection.execute("ANALYZE pattern")
        for first in range(0, entries, CHUNK):
            chunk = {"entries": entries, "first": first, "last": min(first + CHUNK, entries) - 1}
            with connection.transaction():
                connection.execute(COPIES, chunk)
                for statement in INSERTS:
                    connection.execute(statement)
            print(f"bench: {chunk['last'] + 1:,} of {entries:,} past entries", file=sys.stderr, flush=True)
        connection.execute("VACUUM (ANALYZE)")
