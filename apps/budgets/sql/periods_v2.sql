-- From here on count the ids of periods that may be gone once they have ended and nothing is reserved in them: those of
-- requests and tokens in a minute or an hour. Everybody knows them by the id alone.
CREATE FUNCTION budgets_first_short_id_v1() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 4611686018427387904';

-- Milliseconds, then the low bits of a number. A number alone would come again after a failover or a restore, as another
-- budget's, while gateways still spend in the period that they knew by it.
CREATE FUNCTION budgets_new_period_id_v1(is_short boolean) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN is_short THEN budgets_first_short_id_v1() ELSE 0 END
           + ((extract(epoch FROM clock_timestamp()) * 1000)::bigint << 20)
           + (nextval('budgets_period_id_seq') & 1048575)
$$;

CREATE FUNCTION budgets_is_short_v1(measure text, period_kind text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$$ SELECT measure <> 'nanos' AND period_kind IN ('minute', 'hour') $$;

-- A budget in requests or tokens with a short period is a rate limit: what is full again is free when its window ends.
CREATE FUNCTION budgets_is_rate_v1(measure text, period_kind text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$$ SELECT measure <> 'nanos' AND period_kind IN ('minute', 'hour', 'day') $$;

-- A minute's budget has had half a million windows in a year: those that are over must not be looked at.
CREATE INDEX budgets_period_by_end ON budgets_period (budget_id, unit_id, ends_at);

-- The windows of a budget, for each unit apart, that end after an instant. Two branches, since an index can't serve
-- IS NOT DISTINCT FROM.
CREATE FUNCTION budgets_periods_after_v2(budget uuid, unit uuid, instant timestamptz) RETURNS SETOF budgets_period
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF unit IS NULL THEN
        RETURN QUERY SELECT * FROM budgets_period p WHERE p.budget_id = budget AND p.unit_id IS NULL AND p.ends_at > instant;
    ELSE
        RETURN QUERY SELECT * FROM budgets_period p WHERE p.budget_id = budget AND p.unit_id = unit AND p.ends_at > instant;
    END IF;
END $$;

-- The period that holds an instant: the one of that label where it does, else whatever period a change of time zone, week
-- or year start left running.
CREATE FUNCTION budgets_find_period_v2(budget uuid, unit uuid, label text, instant timestamptz) RETURNS budgets_period
LANGUAGE sql STABLE AS $$
    SELECT p FROM budgets_periods_after_v2(budget, unit, instant) p WHERE p.starts_at <= instant
    ORDER BY (p.label = budgets_find_period_v2.label) DESC, p.id LIMIT 1
$$;

-- Inserts one period. A window that began before its budget existed starts `seeding`; a margin covers transactions that
-- were under way (a day; five minutes where windows are short, whose history weighs little), and a unit that is younger
-- than the budget has no history to sum. After a change of time zone a window begins where the last one ended.
CREATE FUNCTION budgets_insert_period_v2(k record, label text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    opens timestamptz := greatest(k.starts_at, (
        SELECT max(p.ends_at) FROM budgets_periods_after_v2(k.budget_id, k.unit_id, k.starts_at) p
        WHERE p.ends_at <= k.wanted_at));
BEGIN
    INSERT INTO budgets_period (id, budget_id, unit_id, organization_id, label, starts_at, ends_at, lock_rank, is_seeding,
                                seeded, settled, reserved)
    SELECT budgets_new_period_id_v1(budgets_is_short_v1(budget.measure, budget.period_kind)),
           k.budget_id, k.unit_id, k.organization_id, budgets_insert_period_v2.label, opens, k.ends_at, k.lock_rank,
           NOT budget.counts_from_now AND budget.created_at + margin.before > opens
           AND (unit.id IS NULL OR unit.created_at < budget.created_at + margin.before), 0, 0, 0
    FROM budgets_budget budget
    LEFT JOIN orgs_unit unit ON unit.id = coalesce(k.unit_id, budget.unit_id),
    LATERAL (SELECT CASE WHEN budget.period_kind IN ('minute', 'hour') THEN interval '5 minutes'
                         ELSE interval '1 day' END AS before) margin
    WHERE budget.id = k.budget_id
    ON CONFLICT ON CONSTRAINT period_label_once DO NOTHING;
END $$;

-- Opens periods: [{budget_id, unit_id, organization_id, label, starts_at, ends_at, lock_rank, wanted_at}]. A call of its
-- own, before reserve. Returns [{id, starts_at, ends_at, is_seeding}] in the order asked; id is null where the budget
-- does not exist. A period that already holds wanted_at is taken as it is, whatever its label: a change of time zone, week
-- or year start acts from the next period. Keys are taken in one order, so that two first uses can't deadlock. Who opens
-- a period holds its budget and unit until then, and looks again in a new statement: a period that somebody else opened in
-- the meantime may have another label, and two that overlap would each have the whole cap.
CREATE FUNCTION budgets_open_periods_v2(keys jsonb) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    k record;
    period budgets_period;
    answers jsonb[] := array_fill(NULL::jsonb, ARRAY[jsonb_array_length(keys)]);
BEGIN
    FOR k IN SELECT q.* FROM ROWS FROM (jsonb_to_recordset(keys) AS (
                 budget_id uuid, unit_id uuid, organization_id uuid, label text, starts_at timestamptz,
                 ends_at timestamptz, lock_rank smallint, wanted_at timestamptz)) WITH ORDINALITY q
             ORDER BY q.budget_id, q.unit_id, q.label LOOP
        period := budgets_find_period_v2(k.budget_id, k.unit_id, k.label, k.wanted_at);
        IF period.id IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtextextended(format('periods of %s %s', k.budget_id, k.unit_id), 1));
            period := budgets_find_period_v2(k.budget_id, k.unit_id, k.label, k.wanted_at);
        END IF;
        IF period.id IS NULL THEN
            PERFORM budgets_insert_period_v2(k, k.label);
            period := budgets_find_period_v2(k.budget_id, k.unit_id, k.label, k.wanted_at);
        END IF;
        IF period.id IS NULL THEN
            -- A window gone by has taken the label, in another time zone.
            PERFORM budgets_insert_period_v2(k, format('%s from %s', k.label,
                to_char(k.starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"')));
            period := budgets_find_period_v2(k.budget_id, k.unit_id, k.label, k.wanted_at);
        END IF;
        answers[k.ordinality] := jsonb_build_object('id', period.id, 'starts_at', period.starts_at,
                                                    'ends_at', period.ends_at, 'is_seeding', period.is_seeding);
    END LOOP;
    RETURN to_jsonb(answers);
END $$;
