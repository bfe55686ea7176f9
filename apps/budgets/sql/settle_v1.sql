-- One ending of a reservation, as decided under its lock.
CREATE TYPE budgets_ending_v1 AS (
    n bigint, id uuid, outcome text, state text, end_cause text, is_late boolean, held_requests integer,
    held_nanos bigint, held_tokens bigint, spent_requests integer, spent_nanos bigint, spent_tokens bigint,
    period_ids bigint[], booking ledger_booking_v1
);

-- Ends a whole batch of reservations and books what they cost. One statement, one commit; ids must be distinct.
--   ends: [{id, kind: settle | void | expire, by_hand, entry_id, cost_nanos, tokens, status, model, usage, price_version_id,
--           reservation: {the whole reservation, as it was asked for, with period_ids and reserved_at}}]
-- Returns [{id, outcome, booked_nanos}]. An outcome that repeats or comes too late is a no-op or a correction: each
-- reservation ends once and is corrected once, whatever arrives how often. docs/money-and-locks.md has the table.
CREATE FUNCTION budgets_settle_v1(ends jsonb) RETURNS jsonb LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    at timestamptz;
    ids uuid[] := ARRAY(SELECT (e ->> 'id')::uuid FROM jsonb_array_elements(ends) e ORDER BY 1);
    recovered uuid[];
    named bigint[];
    endings budgets_ending_v1[];
BEGIN
    IF cardinality(ids) = 0 THEN
        RETURN '[]';
    END IF;
    IF cardinality(ids) > (SELECT count(DISTINCT i) FROM unnest(ids) i) THEN
        -- Class 23, so that the batch is halved until each of the two comes alone: the second is then a no-op.
        RAISE EXCEPTION 'a batch of endings names a reservation twice' USING ERRCODE = 'unique_violation';
    END IF;
    recovered := budgets_recover_missing_v1(ends, ids);
    PERFORM budgets_lock_reservations_v1(ids);
    named := ARRAY(SELECT DISTINCT p FROM budgets_reservation r, unnest(r.period_ids) p
                   WHERE r.id = ANY (ids) AND r.id BETWEEN ids[1] AND ids[cardinality(ids)]
                     AND r.end_cause <> 'tombstone');
    PERFORM budgets_lock_periods_v1(named);
    IF cardinality(named) > (SELECT count(*) FROM budgets_period WHERE id = ANY (named)) THEN
        -- Class 23: the batch is halved down to the one reservation whose period is missing, and that is quarantined.
        RAISE EXCEPTION 'a period of a reservation does not exist' USING ERRCODE = 'foreign_key_violation';
    END IF;

    at := spendra_now_v1();
    endings := budgets_endings_v1(ends, ids, recovered, at);

    UPDATE budgets_period period SET reserved = period.reserved - d.held, settled = period.settled + d.spent
    FROM (SELECT q.id,
              sum(CASE budget.measure WHEN 'nanos' THEN e.held_nanos WHEN 'tokens' THEN e.held_tokens
                                      ELSE e.held_requests END)::bigint AS held,
              sum(CASE budget.measure WHEN 'nanos' THEN e.spent_nanos WHEN 'tokens' THEN e.spent_tokens
                                      ELSE e.spent_requests END)::bigint AS spent
          FROM unnest(endings) e, unnest(e.period_ids) p
          JOIN budgets_period q ON q.id = p JOIN budgets_budget budget ON budget.id = q.budget_id
          WHERE e.end_cause IS NOT NULL OR e.is_late
          GROUP BY q.id) d
    WHERE period.id = d.id AND (d.held <> 0 OR d.spent <> 0);

    UPDATE budgets_reservation r
    SET state = e.state, end_cause = coalesce(e.end_cause, r.end_cause), is_late = e.is_late,
        booked_nanos = r.booked_nanos + e.spent_nanos, booked_tokens = r.booked_tokens + e.spent_tokens,
        entry_id = coalesce(r.entry_id, (e.booking).entry_id), ended_at = coalesce(r.ended_at, at)
    FROM unnest(endings) e
    WHERE r.id = e.id AND r.id BETWEEN ids[1] AND ids[cardinality(ids)] AND (e.end_cause IS NOT NULL OR e.is_late);

    PERFORM ledger_book_v1(ARRAY(SELECT e.booking FROM unnest(endings) e WHERE (e.booking).kind IS NOT NULL), at);
    PERFORM outbox_put_v1(ARRAY(
        SELECT ((e.booking).entry_id, (e.booking).organization_id, 'ledger.entry_booked',
                jsonb_build_object('entry_id', (e.booking).entry_id, 'reservation_id', e.id, 'booked_at', at,
                                   'kind', (e.booking).kind, 'status', (e.booking).status, 'cause', (e.booking).cause,
                                   'amount_nanos', (e.booking).amount_nanos::text))::outbox_message_v1
        FROM unnest(endings) e WHERE (e.booking).kind IS NOT NULL), at);

    RETURN (SELECT coalesce(jsonb_agg(jsonb_build_object('id', e.id, 'outcome', e.outcome,
                                                'booked_nanos', coalesce((e.booking).amount_nanos, 0)) ORDER BY e.n), '[]')
            FROM unnest(endings) e);
END $$;

-- A failover may have lost reservations that a gateway still ends. They are inserted already ended; only the inserter
-- books (uniqueness lives on the row). A void leaves a tombstone, so that a late commit of its reserve conflicts.
-- Such an insert waits for a reserve of the same id that is under way and holds its periods. So it comes before every
-- lock, in a batch of its own kind: beside others it would hold a tombstone while it asks for those periods.
CREATE FUNCTION budgets_recover_missing_v1(ends jsonb, ids uuid[]) RETURNS uuid[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    known jsonb := budgets_known_reservations_v1(ids);
    at timestamptz := spendra_now_v1();
    kinds text[];
    recovered uuid[];
BEGIN
    IF cardinality(ids) = (SELECT count(*) FROM jsonb_object_keys(known)) THEN
        RETURN '{}';
    END IF;
    kinds := ARRAY(SELECT DISTINCT CASE WHEN known ? e.id::text THEN 'known' ELSE e.kind END
                   FROM jsonb_to_recordset(ends) AS e (id uuid, kind text));
    IF cardinality(kinds) > 1 THEN
        -- Class 23: the batch is halved until those that are missing come by themselves.
        RAISE EXCEPTION 'missing reservations are ended in a batch of their own' USING ERRCODE = 'foreign_key_violation';
    END IF;
    WITH inserted AS (
        INSERT INTO budgets_reservation (id, organization_id, key_id, actor_id, process_id, request_id, provider, model,
            price_version_id, amount_nanos, amount_tokens, scope_ids, period_ids, state, end_cause, reserved_at, expires_at,
            ended_at)
        SELECT e.id, q.organization_id, q.key_id, q.actor_id, q.process_id, q.request_id, q.provider, q.model,
            q.price_version_id, q.nanos, q.tokens, q.scope_ids, q.period_ids,
            CASE e.kind WHEN 'settle' THEN 'settled' ELSE 'voided' END,
            CASE e.kind WHEN 'settle' THEN 'recovered' ELSE 'tombstone' END, coalesce(q.reserved_at, at), at, at
        FROM jsonb_to_recordset(ends) AS e (id uuid, kind text, reservation jsonb),
             jsonb_to_record(e.reservation) AS q (
                organization_id uuid, key_id text, actor_id uuid, process_id uuid, request_id text, provider text, model text,
                price_version_id uuid, nanos bigint, tokens bigint, scope_ids uuid[], period_ids bigint[],
                reserved_at timestamptz)
        WHERE e.kind IN ('settle', 'void')
        ORDER BY e.id
        ON CONFLICT (id) DO NOTHING
        RETURNING id, state)
    SELECT array_agg(id) FILTER (WHERE state = 'settled') INTO recovered FROM inserted;
    RETURN coalesce(recovered, '{}');
END $$;
