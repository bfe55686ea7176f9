-- Ends a whole batch of reservations and books what they cost. One statement, one commit; ids must be distinct.
--   ends: [{id, kind: settle | void | expire, by_hand, entry_id, cost_nanos, tokens, status, model, usage, price_version_id,
--           reservation: {the whole reservation, as it was asked for, with period_ids and reserved_at}}]
-- Returns [{id, outcome, booked_nanos}]. An outcome that repeats or comes too late is a no-op or a correction: each
-- reservation ends once and is corrected once, whatever arrives how often. docs/money-and-locks.md has the table.
CREATE FUNCTION budgets_settle_v2(ends jsonb) RETURNS jsonb LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    at timestamptz;
    ids uuid[] := ARRAY(SELECT (e ->> 'id')::uuid FROM jsonb_array_elements(ends) e ORDER BY 1);
    recovered uuid[];
    named bigint[];
    endings budgets_ending_v1[];
    freed uuid[];
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
    IF cardinality(named) > (SELECT count(*) FROM budgets_period WHERE id = ANY (named))
       AND EXISTS (SELECT FROM unnest(named) p WHERE p < budgets_first_short_id_v1()
                   AND NOT EXISTS (SELECT FROM budgets_period q WHERE q.id = p)) THEN
        -- Short periods may be gone: nobody counts them any more.
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

    freed := ARRAY(SELECT e.id FROM unnest(endings) e
                   WHERE e.outcome = 'voided' OR e.outcome = 'late' AND e.spent_requests < 0);
    IF cardinality(freed) > 0 THEN
        -- The provider was not paid: the approval that a request passed by may be used again.
        PERFORM policies_free_approvals_v1(freed);
    END IF;

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
