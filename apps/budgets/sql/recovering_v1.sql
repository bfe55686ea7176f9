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
            q.price_version_id, q.nanos, q.tokens, q.scope_ids,
            -- A period that the failover lost, too, comes never again: what was spent is booked in the others.
            ARRAY(SELECT p FROM unnest(q.period_ids) p
                  WHERE p >= budgets_first_short_id_v1() OR EXISTS (SELECT FROM budgets_period WHERE id = p)),
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
