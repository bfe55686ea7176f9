-- One ending of a reservation, as decided under its lock.
CREATE TYPE budgets_ending_v1 AS (
    n bigint, id uuid, outcome text, state text, end_cause text, is_late boolean, held_requests integer,
    held_nanos bigint, held_tokens bigint, spent_requests integer, spent_nanos bigint, spent_tokens bigint,
    period_ids bigint[], booking ledger_booking_v1
);

-- A gateway process writes its row every five seconds; thirty seconds of silence and it is taken for dead.
CREATE FUNCTION budgets_process_lives_v1(process uuid, at timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM budgets_gatewayprocess WHERE id = process AND seen_at > at - interval '30 seconds')
$$;

-- plpgsql, since a function in plain SQL is planned again at each call: two milliseconds of this one.
-- The transition table, decided under the locks that the settle function holds:
--   open    + settle c → settled   held −amount, spent +c, a charge of c (cause overage if c > amount)
--   open    + void     → voided    held −amount
--   open    + expire   → expired   held −amount, spent +amount, a charge `estimated`; only if its process is gone,
--                                  its time is over, or a person ends it by hand
--   expired + settle c → late      spent +(c − booked), a correction; once
--   expired + void     → late      spent −booked, a correction; once
--   just recovered     → recovered spent +c, a charge of c
--   anything else      → a no-op, `already_` and the state it found; `alive` where an expire found its process living
CREATE FUNCTION budgets_endings_v1(ends jsonb, ids uuid[], recovered uuid[], at timestamptz)
RETURNS budgets_ending_v1[] LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT array_agg(ROW(
        d.n, d.id, d.outcome,
        CASE d.outcome WHEN 'settled' THEN 'settled' WHEN 'voided' THEN 'voided' WHEN 'expired' THEN 'expired'
                       ELSE d.state END,
        CASE d.outcome WHEN 'settled' THEN CASE WHEN d.cost_nanos > d.amount_nanos THEN 'overage' ELSE 'settled' END
                       WHEN 'voided' THEN 'voided' WHEN 'recovered' THEN 'recovered'
                       WHEN 'expired' THEN CASE WHEN d.by_hand THEN 'by_hand' ELSE 'expired' END END,
        d.is_late OR d.outcome = 'late',
        CASE WHEN d.ends THEN 1 ELSE 0 END,
        CASE WHEN d.ends THEN d.amount_nanos ELSE 0 END,
        CASE WHEN d.ends THEN d.amount_tokens ELSE 0 END,
        CASE WHEN d.outcome IN ('settled', 'expired', 'recovered') THEN 1
             WHEN d.outcome = 'late' AND d.kind = 'void' THEN -1 ELSE 0 END,
        d.spent_nanos, d.spent_tokens, d.period_ids,
        CASE WHEN d.outcome IN ('settled', 'expired', 'recovered', 'late') THEN ROW(
            d.entry_id, d.organization_id, d.id, CASE d.outcome WHEN 'late' THEN d.first_entry_id END,
            CASE d.outcome WHEN 'late' THEN 'correction' ELSE 'charge' END,
            CASE d.outcome WHEN 'expired' THEN 'estimated' ELSE coalesce(d.status, 'final') END,
            CASE d.outcome WHEN 'late' THEN 'late_' || d.kind WHEN 'recovered' THEN 'recovered'
                           WHEN 'expired' THEN CASE WHEN d.by_hand THEN 'by_hand' ELSE 'expired' END
                           ELSE CASE WHEN d.cost_nanos > d.amount_nanos THEN 'overage' ELSE 'settled' END END,
            d.spent_nanos, d.spent_tokens, d.cost_nanos, d.provider, coalesce(d.answered_model, d.model),
            CASE WHEN d.kind = 'settle' THEN coalesce(d.usage, '{}') END, coalesce(d.priced_by, d.price_version_id),
            d.key_id, d.actor_id, d.scope_ids, d.period_ids, d.reserved_at)::ledger_booking_v1 END
    )::budgets_ending_v1)
    FROM (
        SELECT o.*, o.outcome IN ('settled', 'voided', 'expired') AS ends,
            CASE o.outcome WHEN 'settled' THEN o.cost_nanos WHEN 'recovered' THEN o.cost_nanos
                           WHEN 'expired' THEN o.amount_nanos
                           WHEN 'late' THEN CASE o.kind WHEN 'void' THEN 0 ELSE o.cost_nanos END - o.booked_nanos
                           ELSE 0 END AS spent_nanos,
            CASE o.outcome WHEN 'settled' THEN o.spent_units WHEN 'recovered' THEN o.spent_units
                           WHEN 'expired' THEN o.amount_tokens
                           WHEN 'late' THEN CASE o.kind WHEN 'void' THEN 0 ELSE o.spent_units END - o.booked_tokens
                           ELSE 0 END AS spent_tokens
        FROM (
            SELECT e.ordinality AS n, e.kind, coalesce(e.by_hand, false) AS by_hand, e.entry_id, e.cost_nanos,
                e.tokens AS spent_units, e.status, e.model AS answered_model, e.usage, e.price_version_id AS priced_by,
                r.id, r.state, r.is_late, r.amount_nanos, r.amount_tokens, r.booked_nanos, r.booked_tokens,
                r.period_ids, r.organization_id, r.entry_id AS first_entry_id, r.provider, r.model, r.price_version_id,
                r.key_id, r.actor_id, r.scope_ids, r.reserved_at,
                CASE WHEN r.id = ANY (recovered) THEN 'recovered'
                     WHEN r.state = 'open' AND e.kind = 'settle' THEN 'settled'
                     WHEN r.state = 'open' AND e.kind = 'void' THEN 'voided'
                     WHEN r.state = 'open' AND e.kind = 'expire' AND (e.by_hand OR r.expires_at <= at
                          OR NOT budgets_process_lives_v1(r.process_id, at)) THEN 'expired'
                     WHEN r.state = 'open' THEN 'alive'
                     WHEN r.state = 'expired' AND NOT r.is_late AND e.kind IN ('settle', 'void') THEN 'late'
                     ELSE 'already_' || r.state END AS outcome
            FROM ROWS FROM (jsonb_to_recordset(ends) AS (
                id uuid, kind text, by_hand boolean, entry_id uuid, cost_nanos bigint, tokens bigint, status text, model text,
                usage jsonb, price_version_id uuid)) WITH ORDINALITY e
            JOIN budgets_reservation r ON r.id = e.id AND r.id BETWEEN ids[1] AND ids[cardinality(ids)]
        ) o
    ) d);
END $$;
