-- Decides a whole batch of requests and reserves for those that fit. One statement, one commit.
--   wanted: the distinct periods of the batch; a request names them by position (1-based)
--   requests: [{id (distinct), organization_id, organization_token, global_token, nanos, tokens, positions, valid_from, valid_until,
--               lifetime_seconds, key_id, actor_id, process_id, request_id, provider, model, price_version_id, scope_ids,
--               approval_id (may be left out: the approval by which it passes a review, once)}]
-- Returns {"now": …, "verdicts": [{"verdict": granted | ended | stale | exceeded | rate_limited | in_flight |
-- approval_used, …}]} in the order asked.
-- Plans are made once a session (planning costs more than running), and by index even while a month's partition is empty.
-- Never grants what does not fit: see docs/money-and-locks.md for the order of the steps, and which failure each answers.
CREATE FUNCTION budgets_reserve_v3(wanted bigint[], requests jsonb) RETURNS jsonb LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    at timestamptz;
    r record;
    verdicts jsonb[] := '{}';
    granted boolean[] := '{}';
    settled bigint[];  reserved bigint[];  caps bigint[];  measures text[];  seeding boolean[];  rates boolean[];
    opens timestamptz[];  closes timestamptz[];
    taken bigint[] := array_fill(0::bigint, ARRAY[greatest(cardinality(wanted), 1)]);
    nil CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    -- How bad a verdict is. No wait helps, the end of the window does, the end of running requests does.
    exceeded CONSTANT integer := 3;  rate_limited CONSTANT integer := 2;  in_flight CONSTANT integer := 1;
    names CONSTANT text[] := ARRAY['in_flight', 'rate_limited', 'exceeded'];
    known jsonb;  tokens jsonb;
    p integer;  asked bigint;  free bigint;  held bigint;  room bigint;  tightest bigint;  blocking integer;
    how integer;  worst integer;  verdict text;  by_approval boolean := false;
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
           array_agg(CASE budget.hardness WHEN 'hard' THEN coalesce(o.amount, budget.amount)
                                          WHEN 'soft' THEN 9223372036854775807 END ORDER BY w.n),
           array_agg(budget.measure ORDER BY w.n),
           -- A soft budget refuses nobody, also while it counts its history: what names the period is left out of that.
           array_agg(period.is_seeding AND budget.hardness = 'hard' ORDER BY w.n),
           array_agg(budgets_is_rate_v1(budget.measure, budget.period_kind) ORDER BY w.n),
           array_agg(period.starts_at ORDER BY w.n), array_agg(period.ends_at ORDER BY w.n)
    INTO settled, reserved, caps, measures, seeding, rates, opens, closes
    FROM unnest(wanted) WITH ORDINALITY w (id, n)
    LEFT JOIN budgets_period period ON period.id = w.id
    LEFT JOIN budgets_budget budget ON budget.id = period.budget_id
    -- At most one: those of a budget don't overlap.
    LEFT JOIN budgets_budgetoverride o ON o.budget_id = period.budget_id AND o.starts_at <= at AND o.ends_at > at
        AND (o.ended_at IS NULL OR o.ended_at > at);
    SELECT jsonb_object_agg(version.id, version.token) INTO tokens FROM budgets_governanceversion version
    WHERE version.id = nil OR version.id IN (SELECT (q ->> 'organization_id')::uuid FROM jsonb_array_elements(requests) q);
    known := budgets_known_reservations_v1(ARRAY(SELECT (q ->> 'id')::uuid FROM jsonb_array_elements(requests) q));

    FOR r IN SELECT * FROM jsonb_to_recordset(requests) AS q (
        id uuid, organization_id text, organization_token text, global_token text, nanos bigint, tokens bigint,
        positions integer[], valid_from timestamptz, valid_until timestamptz, approval_id uuid)
    LOOP
        verdict := 'granted';
        worst := 0;
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
            free := caps[p] - settled[p];
            held := reserved[p] + taken[p];
            CONTINUE WHEN (seeding[p] OR asked > free - held) IS NOT TRUE;
            -- The worst is named whatever the order of the periods; among equals the tightest, of rates the one that is
            -- full the longest.
            IF rates[p] AND asked <= caps[p] AND NOT seeding[p] AND (asked > free OR measures[p] = 'requests') THEN
                -- A running request has used its slot, too.
                how := rate_limited;  room := -extract(epoch FROM closes[p])::bigint;
            ELSIF asked > free THEN
                how := exceeded;  room := free;
            ELSE
                how := in_flight;  room := CASE WHEN seeding[p] THEN -1 ELSE free - held END;
            END IF;
            IF how > worst OR how = worst AND room < tightest THEN
                worst := how;  tightest := room;  blocking := p;
            END IF;
        END LOOP;
        IF verdict <> 'stale' AND worst > 0 THEN
            verdict := names[worst];
        END IF;
        granted := granted || (verdict = 'granted');
        IF verdict = 'granted' THEN
            by_approval := by_approval OR r.approval_id IS NOT NULL;
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

    IF by_approval THEN
        -- In one order, since two that use the same approval wait for each other. What one of them was thought to take
        -- has counted against those behind it: they may ask again.
        FOR r IN SELECT q.* FROM ROWS FROM (jsonb_to_recordset(requests) AS (
                     id uuid, approval_id uuid, nanos bigint, tokens bigint, positions integer[])) WITH ORDINALITY q
                 WHERE granted[q.ordinality] AND q.approval_id IS NOT NULL ORDER BY q.approval_id, q.ordinality LOOP
            CONTINUE WHEN policies_use_approval_v1(r.approval_id, r.id, at);
            granted[r.ordinality] := false;
            verdicts[r.ordinality] := '{"verdict": "approval_used"}'::jsonb;
            FOREACH p IN ARRAY r.positions LOOP
                taken[p] := taken[p] - CASE measures[p] WHEN 'nanos' THEN r.nanos WHEN 'tokens' THEN r.tokens ELSE 1 END;
            END LOOP;
        END LOOP;
    END IF;

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

-- Processes of the release before reserve by the same rules.
CREATE OR REPLACE FUNCTION budgets_reserve_v2(wanted bigint[], requests jsonb) RETURNS jsonb LANGUAGE sql VOLATILE AS
$$ SELECT budgets_reserve_v3(wanted, requests) $$;
