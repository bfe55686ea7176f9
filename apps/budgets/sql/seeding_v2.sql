-- What a budget's selector says of entries and reservations: a regular expression for `provider/model`, the keys, the
-- actors; null where it does not narrow. Hosted tools are not among what is kept: such a budget counts from now.
CREATE TYPE budgets_selection_v1 AS (models text, keys text[], actors uuid[]);

CREATE FUNCTION budgets_selection_of_v1(organization uuid, selector jsonb) RETURNS budgets_selection_v1
LANGUAGE plpgsql STABLE AS $$
DECLARE
    s budgets_selection_v1;
BEGIN
    IF selector ? 'models' THEN
        -- As apps/keys/patterns.py has it: a * of the provider's half does not reach into the model.
        s.models := (SELECT '^(' || string_agg(
                replace(split_part(pattern, '/', 1), '*', '[^/]*') || '/' ||
                replace(regexp_replace(substr(pattern, strpos(pattern, '/') + 1), '([.+])', '\\\1', 'g'), '*', '.*'),
                '|') || ')$'
            FROM jsonb_array_elements_text(selector -> 'models') pattern);
    END IF;
    IF selector ?| ARRAY['environments', 'key_ids'] THEN
        s.keys := ARRAY(SELECT k.key_id FROM keys_key k WHERE k.organization_id = organization
                        AND coalesce(selector -> 'environments' ? k.environment_label, true)
                        AND coalesce(selector -> 'key_ids' ? k.key_id, true));
    END IF;
    IF selector ? 'actor_kinds' THEN
        s.actors := ARRAY(SELECT u.id FROM orgs_unit u WHERE u.organization_id = organization
                          AND selector -> 'actor_kinds' ? u.kind);
    END IF;
    RETURN s;
END $$;

CREATE FUNCTION budgets_is_selected_v1(s budgets_selection_v1, provider text, model text, key text, actor uuid)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT (s.models IS NULL OR provider || '/' || model ~ s.models)
       AND (s.keys IS NULL OR key = ANY (s.keys)) AND (s.actors IS NULL OR actor = ANY (s.actors))
$$;

-- What entries of a scope whose reservation was made in [opens, closes) amount to, booked in [after, before). Those that
-- name the period are in it already: after a failover, settles may come for a period whose seeding was lost. The model is
-- the one that was reserved for, as at reserve; the one that answered may go by a dated name.
CREATE FUNCTION budgets_history_v2(organization uuid, scope uuid, measure text, selection budgets_selection_v1,
                                   opens timestamptz, closes timestamptz, after timestamptz, before timestamptz,
                                   period bigint) RETURNS numeric LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (
        SELECT coalesce(sum(CASE measure WHEN 'nanos' THEN e.amount_nanos WHEN 'tokens' THEN e.tokens
                            ELSE CASE WHEN e.kind = 'charge' THEN 1 WHEN e.cause = 'late_void' THEN -1 ELSE 0 END END), 0)
        FROM ledger_ledgerentry e
        WHERE e.organization_id = organization AND (scope = organization OR e.scope_ids @> ARRAY[scope])
          AND e.occurred_at >= opens AND e.occurred_at < closes
          AND e.booked_at >= greatest(after, opens) AND e.booked_at < before
          AND period <> ALL (e.period_ids)
          AND (selection IS NULL OR budgets_is_selected_v1(selection, e.provider, CASE WHEN selection.models IS NULL
                   THEN e.model ELSE coalesce((SELECT r.model FROM budgets_reservation r WHERE r.id = e.reservation_id),
                                              e.model) END, e.key_id, e.actor_id)));
END $$;

-- Sums what was spent in a window before its budget existed, takes over what is still open, and opens the period.
-- Idempotent; whoever meets a seeding period may call it. While it runs, reserve answers in_flight for that period, and
-- every new reservation in scope names the period (the fence), so the set taken over can only shrink.
CREATE FUNCTION budgets_seed_v2(seeded_period bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    w record;
    selection budgets_selection_v1;
    history numeric;
    recent numeric;
    held numeric;
    since timestamptz;
    open_ids uuid[];
BEGIN
    SELECT p.*, b.measure, b.selector, coalesce(p.unit_id, b.unit_id, p.organization_id) AS scope INTO w
    FROM budgets_period p JOIN budgets_budget b ON b.id = p.budget_id WHERE p.id = seeded_period AND p.is_seeding;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    selection := budgets_selection_of_v1(w.organization_id, w.selector);
    -- Entries booked before every running transaction began can be summed without locks; the rest under them. A second
    -- covers a transaction that has begun and is not shown yet.
    SELECT spendra_now_v1() - interval '1 second' - coalesce(clock_timestamp() - min(xact_start), interval '0') INTO since
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
    history := budgets_history_v2(w.organization_id, w.scope, w.measure, selection, w.starts_at, w.ends_at, '-infinity',
                                  since, seeded_period);

    open_ids := ARRAY(SELECT id FROM budgets_reservation
                      WHERE state = 'open' AND organization_id = w.organization_id
                        AND (w.scope = w.organization_id OR scope_ids @> ARRAY[w.scope])
                        AND seeded_period <> ALL (period_ids)
                        AND budgets_is_selected_v1(selection, provider, model, key_id, actor_id)
                        AND reserved_at >= w.starts_at AND reserved_at < w.ends_at ORDER BY id);
    PERFORM budgets_lock_reservations_v1(open_ids);
    PERFORM budgets_lock_periods_v1(ARRAY[seeded_period]);
    IF (SELECT is_seeding FROM budgets_period WHERE id = seeded_period) IS NOT TRUE THEN
        RETURN false;
    END IF;
    recent := budgets_history_v2(w.organization_id, w.scope, w.measure, selection, w.starts_at, w.ends_at, since,
                                 'infinity', seeded_period);
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
