"""The statements of ledger_verify, each about one chunk of rows. What they prove together: verifying.py.

Nothing that was booked before ledger_kept_since_v1() is read: the archive stands for it, whether retention has come to
drop it or not. The statement that plans without a partition sees that it is archived, since that was committed before.
"""

# Nested loops over indexes cost the same a row whatever the statistics of a month that has just begun; any other plan
# may read more than the chunk. One core, since live traffic goes first. Progress that a crash loses is made again.
SETTINGS = """
SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off;
SET LOCAL synchronous_commit = off;
"""
# For joins with what the statement itself has summed, which no index serves.
HASH_JOINS = "SET LOCAL enable_hashjoin = on"

# Before the first bound no entry can appear any more: whoever writes one has locked its reservation, and so has a
# transaction id, before he reads the clock; a minute for a clock that a failover put back. Up to the second no
# reservation is open and none appears: an hour, since an id is as old as its request. One that is recovered later still
# has an entry, and is proved with that.
BOUNDS = """
WITH unfinished AS MATERIALIZED (SELECT id FROM budgets_reservation WHERE state = 'open'),
     writing AS (SELECT clock_timestamp() - min(xact_start) AS age FROM pg_stat_activity
                 WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid())
SELECT (spendra_now_v1() - interval '1 minute' - coalesce(age, interval '0'))::text,
       least(spendra_uuid7_floor_v1(spendra_now_v1() - interval '1 hour'),
             (SELECT id FROM unfinished ORDER BY id LIMIT 1))::text
FROM writing
"""

# Chunks: the position after it, its rows, and whether nothing in it or before it can change any more.
_ID_CHUNK = """
SELECT ids[rows]::text, rows, ids[rows] < %(ended_before)s::uuid
FROM (SELECT array_agg(id ORDER BY id) AS ids, count(*)::int AS rows FROM (
          SELECT id FROM {table} WHERE id > %(first)s::uuid ORDER BY id LIMIT %(size)s) chunk) gathered
WHERE rows > 0
"""
RESERVATION_CHUNK = _ID_CHUNK.replace("{table}", "budgets_reservation")
SPEND_EVENT_CHUNK = _ID_CHUNK.replace("{table}", "ledger_spendevent")
# Entries of one instant are never parted: they end the chunk together.
ENTRY_CHUNK = """
SELECT (max(booked_at) + interval '1 microsecond')::text, count(*), max(booked_at) < %(booked_before)s::timestamptz
FROM (SELECT booked_at FROM ledger_ledgerentry
      WHERE organization_id = %(organization)s
        AND booked_at >= greatest(%(first)s::timestamptz, (SELECT ledger_kept_since_v1()))
        AND booked_at < %(until)s::timestamptz
      ORDER BY booked_at LIMIT %(size)s) chunk
HAVING count(*) > 0
"""
PERIOD_CHUNK = """
SELECT max(id), count(*) FROM (SELECT id FROM budgets_period WHERE id > %(first)s ORDER BY id LIMIT %(size)s) chunk
HAVING count(*) > 0
"""
NEXT_ORGANIZATION = """
SELECT organization_id FROM ledger_ledgerentry WHERE organization_id > %(first)s ORDER BY organization_id LIMIT 1
"""

# Both sides of a comparison name its columns; the rows that differ are told apart by those names.
_DIFFERING = """
    LATERAL jsonb_each_text(to_jsonb(found)) f JOIN LATERAL jsonb_each_text(to_jsonb(expected)) x USING (key)
    WHERE found IS DISTINCT FROM expected AND f.value IS DISTINCT FROM x.value
"""

# A reservation ends once: one charge, at its end, where it was settled or expired; a correction, any time, where late.
# Entries that lie elsewhere differ from what their reservation names, and that is for the walk over entries.
_RESERVATIONS = (
    """
SELECT 'reservation_' || key, c.id, f.value, x.value
FROM ({chunk}) c,
    LATERAL (
        SELECT count(*) FILTER (WHERE kind = 'charge') AS charges,
               count(*) FILTER (WHERE kind = 'correction') AS corrections,
               coalesce(sum(amount_nanos), 0) AS nanos, coalesce(sum(tokens), 0) AS tokens
        FROM ledger_ledgerentry WHERE reservation_id = c.id
          AND booked_at >= coalesce(c.ended_at, c.reserved_at) - interval '1 hour'
          AND booked_at < CASE WHEN c.is_late THEN 'infinity'
                               ELSE coalesce(c.ended_at, c.reserved_at) + interval '1 day' END) booked,
    LATERAL (SELECT
        booked.charges, booked.corrections, c.booked_nanos::numeric, c.booked_tokens::numeric,
        c.entry_id IS NOT NULL AS entry, c.ended_at IS NOT NULL AND c.end_cause <> '' AS ended,
        c.is_late AND c.state <> 'expired' AS late_unless_expired) found,
    LATERAL (SELECT
        (c.state IN ('settled', 'expired'))::int::bigint AS charges, c.is_late::int::bigint AS corrections,
        booked.nanos AS booked_nanos, booked.tokens AS booked_tokens,
        booked.charges > 0 AS entry, c.state <> 'open' AS ended,
        false AS late_unless_expired) expected,
"""
    + _DIFFERING
    + """
    AND c.id >= (SELECT spendra_uuid7_floor_v1(ledger_kept_since_v1()))
    AND coalesce(c.ended_at, 'infinity') >= (SELECT ledger_kept_since_v1())
"""
)
RESERVATIONS = _RESERVATIONS.replace(
    "{chunk}", "SELECT * FROM budgets_reservation WHERE id > %(first)s::uuid AND id <= %(last)s::uuid"
)
# Those of which an earlier run has kept the proof, and that have got an entry since.
RESERVATIONS_AGAIN = _RESERVATIONS.replace(
    "{chunk}",
    """SELECT r.* FROM (
           SELECT DISTINCT reservation_id AS id FROM ledger_ledgerentry
           WHERE organization_id = %(organization)s AND reservation_id <= %(kept)s::uuid
             AND booked_at >= %(first)s::timestamptz AND booked_at < %(last)s::timestamptz) named,
       LATERAL (SELECT * FROM budgets_reservation WHERE id = named.id OFFSET 0) r""",
)
RESERVATION_REFERENCES = """
SELECT 'reservation_' || checked.name, unnest(c.ids), checked.found, checked.expected
FROM (SELECT organization_id, actor_id, key_id, period_ids, array_agg(id) AS ids FROM budgets_reservation
      WHERE id > %(first)s::uuid AND id <= %(last)s::uuid GROUP BY 1, 2, 3, 4) c,
    LATERAL (VALUES
        ('organization', EXISTS (SELECT FROM orgs_organization WHERE id = c.organization_id)::text, 'true'),
        ('actor', EXISTS (SELECT FROM orgs_unit WHERE id = c.actor_id)::text, 'true'),
        ('key', EXISTS (SELECT FROM keys_key WHERE key_id = c.key_id)::text, 'true'),
        ('periods', (SELECT count(*) FROM unnest(c.period_ids) p LEFT JOIN budgets_period q ON q.id = p
                     WHERE q.organization_id = c.organization_id
                        OR q.id IS NULL AND p >= budgets_first_short_id_v1())::text,
                    cardinality(c.period_ids)::text)
    ) AS checked (name, found, expected)
WHERE checked.found <> checked.expected
"""

ENTRIES = (
    """
SELECT 'entry_' || key, e.id, f.value, x.value
FROM ledger_ledgerentry e
LEFT JOIN budgets_reservation r ON r.id = e.reservation_id
LEFT JOIN ledger_spendevent s ON s.id = e.spend_event_id AND s.booked_at = e.booked_at,
    LATERAL (SELECT
        r.id IS NOT NULL AS reservation, r.organization_id AS organization, r.period_ids AS periods,
        CASE e.kind WHEN 'charge' THEN e.id ELSE e.corrects_id END AS charge,
        r.is_late OR e.kind = 'charge' AS correction,
        s.id AS spend_event, s.reservation_id AS spend_event_reservation,
        CASE e.kind WHEN 'charge' THEN s.cost_nanos END AS spend_event_cost) found,
    LATERAL (SELECT
        r.id IS NOT NULL OR e.reservation_id >= (SELECT spendra_uuid7_floor_v1(ledger_kept_since_v1())) AS reservation,
        CASE WHEN r.id IS NOT NULL THEN e.organization_id END AS organization,
        CASE WHEN r.id IS NOT NULL THEN e.period_ids END AS periods,
        CASE WHEN r.id IS NOT NULL THEN r.entry_id WHEN e.kind = 'charge' THEN e.id ELSE e.corrects_id END AS charge,
        CASE WHEN r.id IS NOT NULL OR e.kind = 'charge' THEN true END AS correction,
        e.spend_event_id AS spend_event,
        CASE WHEN s.id IS NOT NULL THEN e.reservation_id END AS spend_event_reservation,
        CASE WHEN e.kind = 'charge' AND s.id IS NOT NULL THEN e.amount_nanos END AS spend_event_cost) expected,
"""
    + _DIFFERING
    + """
    AND e.organization_id = %(organization)s
    AND e.booked_at >= greatest(%(first)s::timestamptz, (SELECT ledger_kept_since_v1()))
    AND e.booked_at < %(last)s::timestamptz
"""
)

# The spend event carries the id of its entry.
SPEND_EVENTS = """
SELECT 'spend_event_entry', s.id, 'none', 'an entry' FROM ledger_spendevent s
LEFT JOIN ledger_ledgerentry e ON e.id = s.id AND e.booked_at = s.booked_at AND e.spend_event_id = s.id
WHERE s.id > %(first)s::uuid AND s.id <= %(last)s::uuid AND e.id IS NULL
  AND s.booked_at >= (SELECT ledger_kept_since_v1())
"""

# Short periods may be gone, and their number has no bound.
SUM_UP = """
INSERT INTO budgets_verifiedsum AS kept (period_id, nanos, tokens, requests)
SELECT p, sum(amount_nanos), sum(tokens),
       count(*) FILTER (WHERE kind = 'charge') - count(*) FILTER (WHERE cause = 'late_void')
FROM ledger_ledgerentry, unnest(period_ids) p
WHERE organization_id = %(organization)s AND booked_at < %(last)s::timestamptz
  AND booked_at >= greatest(%(first)s::timestamptz, (SELECT ledger_kept_since_v1()))
  AND (p < budgets_first_short_id_v1() OR EXISTS (SELECT FROM budgets_period WHERE id = p))
GROUP BY p
ON CONFLICT (period_id) DO UPDATE SET nanos = kept.nanos + EXCLUDED.nanos, tokens = kept.tokens + EXCLUDED.tokens,
                                      requests = kept.requests + EXCLUDED.requests
"""

# In one snapshot: counters, the sums kept, the entries since, the archive, the open reservations. Sums by period id,
# never by time: everything of a reservation books into the periods it was reserved in.
PERIODS = """
WITH since AS MATERIALIZED (
    SELECT o.id AS organization_id, greatest(v.position::timestamptz, ledger_kept_since_v1()) AS at
    FROM orgs_organization o LEFT JOIN budgets_verifiedposition v ON v.walk = 'sums' AND v.organization_id = o.id
), latest AS MATERIALIZED (
    SELECT p AS id, sum(e.amount_nanos) AS nanos, sum(e.tokens) AS tokens,
           count(*) FILTER (WHERE e.kind = 'charge') - count(*) FILTER (WHERE e.cause = 'late_void') AS requests
    FROM since, LATERAL (SELECT * FROM ledger_ledgerentry
                         WHERE organization_id = since.organization_id AND booked_at >= since.at OFFSET 0) e,
         unnest(e.period_ids) p
    WHERE p > %(first)s AND p <= %(last)s GROUP BY p
), held AS MATERIALIZED (
    SELECT p AS id, sum(r.amount_nanos) AS nanos, sum(r.amount_tokens) AS tokens, count(*) AS requests
    FROM budgets_reservation r, unnest(r.period_ids) p
    WHERE r.state = 'open' AND p > %(first)s AND p <= %(last)s GROUP BY p
), archived AS MATERIALIZED (
    SELECT period_id AS id, sum(nanos) AS nanos, sum(tokens) AS tokens, sum(requests) AS requests
    FROM budgets_periodarchive WHERE period_id > %(first)s AND period_id <= %(last)s GROUP BY period_id
), compared AS (
    SELECT q.id, q.settled, q.reserved, q.seeded,
        q.seeded + CASE b.measure
            WHEN 'nanos' THEN coalesce(kept.nanos, 0) + coalesce(latest.nanos, 0) + coalesce(archived.nanos, 0)
            WHEN 'tokens' THEN coalesce(kept.tokens, 0) + coalesce(latest.tokens, 0) + coalesce(archived.tokens, 0)
            ELSE coalesce(kept.requests, 0) + coalesce(latest.requests, 0) + coalesce(archived.requests, 0)
        END AS right_settled,
        coalesce(CASE b.measure WHEN 'nanos' THEN held.nanos WHEN 'tokens' THEN held.tokens ELSE held.requests END, 0)
            AS right_reserved
    FROM budgets_period q JOIN budgets_budget b ON b.id = q.budget_id
    LEFT JOIN budgets_verifiedsum kept
        ON kept.period_id = q.id AND kept.period_id > %(first)s AND kept.period_id <= %(last)s
    LEFT JOIN latest ON latest.id = q.id LEFT JOIN held ON held.id = q.id LEFT JOIN archived ON archived.id = q.id
    WHERE q.id > %(first)s AND q.id <= %(last)s
)
SELECT 'period_settled', id, settled, right_settled FROM compared WHERE settled <> right_settled
UNION ALL SELECT 'period_reserved', id, reserved, right_reserved FROM compared WHERE reserved <> right_reserved
UNION ALL SELECT 'period_not_negative', id, least(settled, reserved, seeded), 0 FROM compared
          WHERE least(settled, reserved, seeded) < 0
"""
PERIOD_REFERENCES = """
SELECT 'period_' || missing, q.id, found, 'a row' FROM budgets_period q,
    LATERAL (VALUES
        ('organization', q.organization_id, EXISTS (SELECT FROM orgs_organization o WHERE o.id = q.organization_id)),
        ('budget', q.budget_id, EXISTS (SELECT FROM budgets_budget b
                                        WHERE b.id = q.budget_id AND b.organization_id = q.organization_id)),
        ('unit', q.unit_id, q.unit_id IS NULL OR EXISTS (
            SELECT FROM orgs_unit u WHERE u.id = q.unit_id AND u.organization_id = q.organization_id))
    ) AS reference (missing, found, is_there)
WHERE q.id > %(first)s AND q.id <= %(last)s AND NOT is_there
"""

POSITION = "SELECT position FROM budgets_verifiedposition WHERE walk = %(walk)s AND organization_id = %(organization)s"
KEEP_POSITION = """
INSERT INTO budgets_verifiedposition VALUES (%(walk)s, %(organization)s, %(last)s)
ON CONFLICT (walk, organization_id) DO UPDATE SET position = EXCLUDED.position
"""
# Two runs at once take turns, a chunk each.
LOCK_SUMS = """
INSERT INTO budgets_verifiedposition VALUES ('sums', %(organization)s, '1970-01-01T00:00:00Z')
ON CONFLICT (walk, organization_id) DO UPDATE SET position = budgets_verifiedposition.position RETURNING position
"""
FORGET_GONE_PERIODS = """
DELETE FROM budgets_verifiedsum kept WHERE period_id >= budgets_first_short_id_v1()
    AND NOT EXISTS (SELECT FROM budgets_period WHERE id = kept.period_id)
"""
FORGET = ("DELETE FROM budgets_verifiedposition", "DELETE FROM budgets_verifiedsum")
