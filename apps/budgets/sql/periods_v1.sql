-- Opens periods: [{budget_id, unit_id, organization_id, label, starts_at, ends_at, lock_rank, wanted_at}], sorted by the
-- caller's (budget_id, unit_id, label). A call of its own, before reserve. Returns [{id, starts_at, ends_at, is_seeding}]
-- in the order asked. A period that already holds wanted_at is taken as it is, whatever its label: a change of time zone
-- or week start acts from the next period. Two statements: the loser of a first use must see the winner's rows.
-- A window that began before its budget existed starts `seeding`; a day's margin covers transactions that were under
-- way, and a unit that is younger than the budget has no history to sum.
CREATE FUNCTION budgets_open_periods_v1(keys jsonb) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO budgets_period (budget_id, unit_id, organization_id, label, starts_at, ends_at, lock_rank, is_seeding,
                                seeded, settled, reserved)
    SELECT k.budget_id, k.unit_id, k.organization_id, k.label, k.starts_at, k.ends_at, k.lock_rank,
           NOT budget.counts_from_now AND budget.created_at + interval '1 day' > k.starts_at
           AND (unit.id IS NULL OR unit.created_at < budget.created_at + interval '1 day'), 0, 0, 0
    FROM jsonb_to_recordset(keys) AS k (budget_id uuid, unit_id uuid, organization_id uuid, label text,
                                        starts_at timestamptz, ends_at timestamptz, lock_rank smallint,
                                        wanted_at timestamptz)
    JOIN budgets_budget budget ON budget.id = k.budget_id
    LEFT JOIN orgs_unit unit ON unit.id = coalesce(k.unit_id, budget.unit_id)
    WHERE NOT EXISTS (SELECT FROM budgets_period p
                      WHERE p.budget_id = k.budget_id AND p.unit_id IS NOT DISTINCT FROM k.unit_id
                        AND (p.label = k.label OR p.starts_at <= k.wanted_at AND k.wanted_at < p.ends_at))
    ORDER BY k.budget_id, k.unit_id, k.label
    ON CONFLICT (budget_id, unit_id, label) DO NOTHING;

    RETURN (SELECT jsonb_agg(jsonb_build_object('id', p.id, 'starts_at', p.starts_at, 'ends_at', p.ends_at,
                                                'is_seeding', p.is_seeding) ORDER BY k.ordinality)
            FROM ROWS FROM (jsonb_to_recordset(keys) AS (
                budget_id uuid, unit_id uuid, label text, wanted_at timestamptz)) WITH ORDINALITY k
            LEFT JOIN LATERAL (
                SELECT * FROM budgets_period q
                WHERE q.budget_id = k.budget_id AND q.unit_id IS NOT DISTINCT FROM k.unit_id
                  AND (q.label = k.label OR q.starts_at <= k.wanted_at AND k.wanted_at < q.ends_at)
                ORDER BY (q.starts_at <= k.wanted_at AND k.wanted_at < q.ends_at) DESC, q.id LIMIT 1) p ON true);
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
    -- Entries booked before every running transaction began can be summed without locks; the rest under them.
    SELECT least(spendra_now_v1(), min(xact_start)) INTO since FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
    history := budgets_history_v1(w.organization_id, w.scope, w.measure, w.starts_at, w.ends_at, '-infinity', since);

    open_ids := ARRAY(SELECT id FROM budgets_reservation
                      WHERE state = 'open' AND organization_id = w.organization_id AND scope_ids @> ARRAY[w.scope]
                        AND reserved_at >= w.starts_at AND reserved_at < w.ends_at ORDER BY id);
    PERFORM budgets_lock_reservations_v1(open_ids);
    PERFORM budgets_lock_periods_v1(ARRAY[seeded_period]);
    IF NOT (SELECT is_seeding FROM budgets_period WHERE id = seeded_period) THEN
        RETURN false;
    END IF;
    recent := budgets_history_v1(w.organization_id, w.scope, w.measure, w.starts_at, w.ends_at, since, 'infinity');
    WITH taken_over AS (
        UPDATE budgets_reservation SET period_ids = period_ids || seeded_period
        WHERE id = ANY (open_ids) AND state = 'open' RETURNING amount_nanos, amount_tokens)
    SELECT coalesce(sum(CASE w.measure WHEN 'nanos' THEN amount_nanos WHEN 'tokens' THEN amount_tokens ELSE 1 END), 0)
    INTO held FROM taken_over;
    UPDATE budgets_period SET settled = history + recent, seeded = history + recent, reserved = held, is_seeding = false
    WHERE id = seeded_period;
    RETURN true;
END $$;

-- What entries of a scope whose reservation was made in [opens, closes) amount to, booked in [after, before).
CREATE FUNCTION budgets_history_v1(organization uuid, scope uuid, measure text, opens timestamptz, closes timestamptz,
                                   after timestamptz, before timestamptz) RETURNS numeric LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(sum(CASE measure WHEN 'nanos' THEN amount_nanos WHEN 'tokens' THEN tokens
                        ELSE CASE WHEN kind = 'charge' THEN 1 WHEN cause = 'late_void' THEN -1 ELSE 0 END END), 0)
    FROM ledger_ledgerentry
    WHERE organization_id = organization AND scope_ids @> ARRAY[scope] AND occurred_at >= opens AND occurred_at < closes
      AND booked_at >= greatest(after, opens) AND booked_at < before
$$;
