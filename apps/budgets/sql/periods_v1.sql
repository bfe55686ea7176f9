-- All windows of a budget, for each unit apart. Two branches, since an index can't serve IS NOT DISTINCT FROM.
CREATE FUNCTION budgets_periods_of_v1(budget uuid, unit uuid) RETURNS SETOF budgets_period LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF unit IS NULL THEN
        RETURN QUERY SELECT * FROM budgets_period p WHERE p.budget_id = budget AND p.unit_id IS NULL;
    ELSE
        RETURN QUERY SELECT * FROM budgets_period p WHERE p.budget_id = budget AND p.unit_id = unit;
    END IF;
END $$;

-- The period that holds an instant: the one of that label where it does, else whatever period a change of time zone or
-- week start left running.
CREATE FUNCTION budgets_find_period_v1(budget uuid, unit uuid, label text, instant timestamptz) RETURNS budgets_period
LANGUAGE sql STABLE AS $$
    SELECT p FROM budgets_periods_of_v1(budget, unit) p WHERE p.starts_at <= instant AND instant < p.ends_at
    ORDER BY (p.label = budgets_find_period_v1.label) DESC, p.id LIMIT 1
$$;

-- Inserts one period. A window that began before its budget existed starts `seeding`; a day's margin covers transactions
-- that were under way, and a unit that is younger than the budget has no history to sum. After a change of time zone a
-- window begins where the last one ended, and a label that a window gone by has taken gets its start beside it.
CREATE FUNCTION budgets_insert_period_v1(k record) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    opens timestamptz := k.starts_at;
    free_label text := k.label;
    earlier record;
BEGIN
    FOR earlier IN SELECT p.label, p.ends_at FROM budgets_periods_of_v1(k.budget_id, k.unit_id) p
                   WHERE p.ends_at <= k.wanted_at AND (p.ends_at > k.starts_at OR p.label = k.label) LOOP
        opens := greatest(opens, earlier.ends_at);
        IF earlier.label = k.label THEN
            free_label := format('%s from %s', k.label, to_char(k.starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"'));
        END IF;
    END LOOP;
    INSERT INTO budgets_period (budget_id, unit_id, organization_id, label, starts_at, ends_at, lock_rank, is_seeding,
                                seeded, settled, reserved)
    SELECT k.budget_id, k.unit_id, k.organization_id, free_label, opens, k.ends_at, k.lock_rank,
           NOT budget.counts_from_now AND budget.created_at + interval '1 day' > opens
           AND (unit.id IS NULL OR unit.created_at < budget.created_at + interval '1 day'), 0, 0, 0
    FROM budgets_budget budget LEFT JOIN orgs_unit unit ON unit.id = coalesce(k.unit_id, budget.unit_id)
    WHERE budget.id = k.budget_id
    ON CONFLICT (budget_id, unit_id, label) DO NOTHING;
END $$;

-- Opens periods: [{budget_id, unit_id, organization_id, label, starts_at, ends_at, lock_rank, wanted_at}]. A call of its
-- own, before reserve. Returns [{id, starts_at, ends_at, is_seeding}] in the order asked; id is null where the budget
-- does not exist. A period that already holds wanted_at is taken as it is, whatever its label: a change of time zone or
-- week start acts from the next period. Keys are taken in one order, so that two first uses can't deadlock, and each is
-- read again in a new statement: the loser of a first use must see the winner's row.
CREATE FUNCTION budgets_open_periods_v1(keys jsonb) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    k record;
    period budgets_period;
    answers jsonb[] := array_fill(NULL::jsonb, ARRAY[jsonb_array_length(keys)]);
BEGIN
    FOR k IN SELECT q.* FROM ROWS FROM (jsonb_to_recordset(keys) AS (
                 budget_id uuid, unit_id uuid, organization_id uuid, label text, starts_at timestamptz,
                 ends_at timestamptz, lock_rank smallint, wanted_at timestamptz)) WITH ORDINALITY q
             ORDER BY q.budget_id, q.unit_id, q.label LOOP
        period := budgets_find_period_v1(k.budget_id, k.unit_id, k.label, k.wanted_at);
        IF period.id IS NULL THEN
            PERFORM budgets_insert_period_v1(k);
            period := budgets_find_period_v1(k.budget_id, k.unit_id, k.label, k.wanted_at);
        END IF;
        answers[k.ordinality] := jsonb_build_object('id', period.id, 'starts_at', period.starts_at,
                                                    'ends_at', period.ends_at, 'is_seeding', period.is_seeding);
    END LOOP;
    RETURN to_jsonb(answers);
END $$;

-- Sums what was spent in a window before its budget existed, takes over what is still open, and opens the period.
-- Idempotent; whoever meets a seeding period may call it. While it runs, reserve answers in_flight for that period, and
-- every new reservation in scope names the period (the fence), so the set taken over can only shrink.
CREATE FUNCTION budgets_seed_v1(seeded_period bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    w record;
    history numeric;
    recent numeric;
    held numeric;
    since timestamptz;
    open_ids uuid[];
BEGIN
    SELECT p.*, b.measure, coalesce(p.unit_id, b.unit_id, p.organization_id) AS scope INTO w
    FROM budgets_period p JOIN budgets_budget b ON b.id = p.budget_id WHERE p.id = seeded_period AND p.is_seeding;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- Entries booked before every running transaction began can be summed without locks; the rest under them. A second
    -- covers a transaction that has begun and is not shown yet.
    SELECT spendra_now_v1() - interval '1 second' - coalesce(clock_timestamp() - min(xact_start), interval '0') INTO since
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
    history := budgets_history_v1(w.organization_id, w.scope, w.measure, w.starts_at, w.ends_at, '-infinity', since,
                                    seeded_period);

    open_ids := ARRAY(SELECT id FROM budgets_reservation
                      WHERE state = 'open' AND organization_id = w.organization_id
                        AND (w.scope = w.organization_id OR scope_ids @> ARRAY[w.scope])
                        AND seeded_period <> ALL (period_ids)
                        AND reserved_at >= w.starts_at AND reserved_at < w.ends_at ORDER BY id);
    PERFORM budgets_lock_reservations_v1(open_ids);
    PERFORM budgets_lock_periods_v1(ARRAY[seeded_period]);
    IF NOT (SELECT is_seeding FROM budgets_period WHERE id = seeded_period) THEN
        RETURN false;
    END IF;
    recent := budgets_history_v1(w.organization_id, w.scope, w.measure, w.starts_at, w.ends_at, since, 'infinity',
                                   seeded_period);
    WITH taken_over AS (
        UPDATE budgets_reservation SET period_ids = period_ids || seeded_period
        WHERE id = ANY (open_ids) AND id BETWEEN open_ids[1] AND open_ids[cardinality(open_ids)] AND state = 'open'
        RETURNING amount_nanos, amount_tokens)
    SELECT coalesce(sum(CASE w.measure WHEN 'nanos' THEN amount_nanos WHEN 'tokens' THEN amount_tokens ELSE 1 END), 0)
    INTO held FROM taken_over;
    UPDATE budgets_period
    SET settled = settled + history + recent, seeded = history + recent, reserved = reserved + held, is_seeding = false
    WHERE id = seeded_period;
    RETURN true;
END $$;

-- What entries of a scope whose reservation was made in [opens, closes) amount to, booked in [after, before). Those that
-- name the period are in it already: after a failover, settles may come for a period whose seeding was lost.
CREATE FUNCTION budgets_history_v1(organization uuid, scope uuid, measure text, opens timestamptz, closes timestamptz,
                                   after timestamptz, before timestamptz, period bigint)
RETURNS numeric LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(sum(CASE measure WHEN 'nanos' THEN amount_nanos WHEN 'tokens' THEN tokens
                        ELSE CASE WHEN kind = 'charge' THEN 1 WHEN cause = 'late_void' THEN -1 ELSE 0 END END), 0)
    FROM ledger_ledgerentry
    WHERE organization_id = organization AND (scope = organization OR scope_ids @> ARRAY[scope])
      AND occurred_at >= opens AND occurred_at < closes AND booked_at >= greatest(after, opens) AND booked_at < before
      AND period <> ALL (period_ids)
$$;
