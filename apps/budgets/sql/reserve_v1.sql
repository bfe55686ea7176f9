-- Decides a whole batch of requests and reserves for those that fit. One statement, one commit.
--   wanted: the distinct periods of the batch; a request names them by position (1-based)
--   requests: [{id, organization_id, organization_token, global_token, nanos, tokens, positions, valid_from, valid_until,
--               lifetime_seconds, key_id, actor_id, process_id, request_id, provider, model, price_version_id, scope_ids}]
-- Returns {"now": …, "verdicts": [{"verdict": granted | ended | stale | exceeded | in_flight, …}]} in the order asked.
-- Plans are made once a session (planning costs more than running), and by index even while a month's partition is empty.
-- Never grants what does not fit: see docs/money-and-locks.md for the order of the steps, and which failure each answers.
CREATE FUNCTION budgets_reserve_v1(wanted bigint[], requests jsonb) RETURNS jsonb LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    at timestamptz;
    r record;
    verdicts jsonb[] := '{}';
    granted boolean[] := '{}';
    settled bigint[];  reserved bigint[];  caps bigint[];  measures text[];  seeding boolean[];
    opens timestamptz[];  closes timestamptz[];
    taken bigint[] := array_fill(0::bigint, ARRAY[greatest(cardinality(wanted), 1)]);
    nil CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    known jsonb;  tokens jsonb;
    p integer;  asked bigint;  room bigint;  tightest bigint;  blocking integer;  verdict text;
BEGIN
    IF cardinality(wanted) > (SELECT count(DISTINCT id) FROM unnest(wanted) id) THEN
        -- Two positions of one period would each be measured against the whole room.
        RAISE EXCEPTION 'a batch names a period twice' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM budgets_lock_periods_v1(wanted);
    PERFORM pg_advisory_xact_lock_shared(budgets_fence_v1());

    -- Read only now, in new statements: what was read before the locks may be older than a change already acknowledged.
    at := spendra_now_v1();
    SELECT array_agg(period.settled ORDER BY w.n), array_agg(period.reserved ORDER BY w.n),
           -- A period that does not exist has no cap at all, and is answered `stale`; a soft one can't be passed.
           array_agg(CASE budget.hardness WHEN 'hard' THEN budget.amount WHEN 'soft' THEN 9223372036854775807 END
                     ORDER BY w.n),
           array_agg(budget.measure ORDER BY w.n), array_agg(period.is_seeding ORDER BY w.n),
           array_agg(period.starts_at ORDER BY w.n), array_agg(period.ends_at ORDER BY w.n)
    INTO settled, reserved, caps, measures, seeding, opens, closes
    FROM unnest(wanted) WITH ORDINALITY w (id, n)
    LEFT JOIN budgets_period period ON period.id = w.id
    LEFT JOIN budgets_budget budget ON budget.id = period.budget_id;
    SELECT jsonb_object_agg(version.id, version.token) INTO tokens FROM budgets_governanceversion version
    WHERE version.id = nil OR version.id IN (SELECT (q ->> 'organization_id')::uuid FROM jsonb_array_elements(requests) q);
    known := budgets_known_reservations_v1(ARRAY(SELECT (q ->> 'id')::uuid FROM jsonb_array_elements(requests) q));

    FOR r IN SELECT * FROM jsonb_to_recordset(requests) AS q (
        id uuid, organization_id text, organization_token text, global_token text, nanos bigint, tokens bigint,
        positions integer[], valid_from timestamptz, valid_until timestamptz)
    LOOP
        verdict := 'granted';
        blocking := NULL;
        IF known ? r.id::text THEN
            -- The same request again, after an outcome that its caller never learned.
            verdict := CASE known ->> r.id::text WHEN 'open' THEN 'granted' ELSE 'ended' END;
            verdicts := verdicts || jsonb_build_object('verdict', verdict);
            granted := granted || false;
            CONTINUE;
        END IF;
        IF tokens ->> r.organization_id IS NULL OR tokens ->> r.organization_id IS DISTINCT FROM r.organization_token
           OR tokens ->> nil::text IS NULL OR tokens ->> nil::text IS DISTINCT FROM r.global_token
           OR (at >= r.valid_from AND at < r.valid_until) IS NOT TRUE THEN
            verdict := 'stale';
        END IF;
        FOREACH p IN ARRAY r.positions LOOP
            EXIT WHEN verdict = 'stale';
            IF caps[p] IS NULL OR at < opens[p] OR at >= closes[p] THEN
                verdict := 'stale';
                EXIT;
            END IF;
            asked := CASE measures[p] WHEN 'nanos' THEN r.nanos WHEN 'tokens' THEN r.tokens ELSE 1 END;
            -- exceeded beats in_flight whatever the order of the periods; among equals the tightest is named.
            IF asked > caps[p] - settled[p] THEN
                room := caps[p] - settled[p];
                IF verdict <> 'exceeded' OR room < tightest THEN
                    verdict := 'exceeded';  tightest := room;  blocking := p;
                END IF;
            ELSIF verdict <> 'exceeded' AND (seeding[p] OR asked > caps[p] - settled[p] - reserved[p] - taken[p]) THEN
                room := CASE WHEN seeding[p] THEN -1 ELSE caps[p] - settled[p] - reserved[p] - taken[p] END;
                IF verdict <> 'in_flight' OR room < tightest THEN
                    verdict := 'in_flight';  tightest := room;  blocking := p;
                END IF;
            END IF;
        END LOOP;
        granted := granted || (verdict = 'granted');
        IF verdict = 'granted' THEN
            verdicts := verdicts || '{"verdict": "granted"}'::jsonb;
            FOREACH p IN ARRAY r.positions LOOP
                taken[p] := taken[p] + CASE measures[p] WHEN 'nanos' THEN r.nanos WHEN 'tokens' THEN r.tokens ELSE 1 END;
            END LOOP;
        ELSIF verdict = 'stale' THEN
            verdicts := verdicts || jsonb_build_object('verdict', verdict,
                'organization_token', tokens -> r.organization_id, 'global_token', tokens -> nil::text);
        ELSE
            verdicts := verdicts || jsonb_build_object('verdict', verdict, 'period_id', wanted[blocking],
                'measure', measures[blocking], 'cap', caps[blocking], 'settled', settled[blocking],
                'reserved', reserved[blocking] + taken[blocking], 'seeding', seeding[blocking],
                'resets_at', closes[blocking]);
        END IF;
    END LOOP;

    IF true = ANY (granted) THEN
        UPDATE budgets_period period SET reserved = period.reserved + t.amount
        FROM unnest(wanted, taken) t (id, amount) WHERE period.id = t.id AND t.amount > 0;

        INSERT INTO budgets_reservation (id, organization_id, key_id, actor_id, process_id, request_id, provider, model,
            price_version_id, amount_nanos, amount_tokens, scope_ids, period_ids, state, reserved_at, expires_at)
        SELECT q.id, q.organization_id, q.key_id, q.actor_id, q.process_id, q.request_id, q.provider, q.model,
            q.price_version_id, q.nanos, q.tokens, q.scope_ids,
            ARRAY(SELECT wanted[i] FROM unnest(q.positions) i), 'open', at, at + make_interval(secs => q.lifetime_seconds)
        FROM ROWS FROM (jsonb_to_recordset(requests) AS (
            id uuid, organization_id uuid, key_id text, actor_id uuid, process_id uuid, request_id text, provider text,
            model text, price_version_id uuid, nanos bigint, tokens bigint, scope_ids uuid[], positions integer[],
            lifetime_seconds integer)) WITH ORDINALITY q
        WHERE granted[q.ordinality]
        -- In the order of everybody who inserts here: a tombstone of one of these ids may be under way.
        ORDER BY q.id;
    END IF;
    RETURN jsonb_build_object('now', at, 'verdicts', to_jsonb(verdicts));
END $$;
