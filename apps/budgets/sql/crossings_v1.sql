-- Which thresholds of alert policies were crossed in which periods: each once, by the greatest cap that it was crossed
-- of. Written by the worker alone; no foreign keys, as on all that grows with traffic.
CREATE TABLE budgets_crossing (
    policy_version_id uuid NOT NULL,
    period_id bigint NOT NULL,
    threshold integer NOT NULL,
    organization_id uuid NOT NULL,
    cap bigint NOT NULL,
    settled bigint NOT NULL,
    is_shadow boolean NOT NULL,
    crossed_at timestamptz NOT NULL,
    PRIMARY KEY (policy_version_id, period_id, threshold)
);

-- Notes crossings: [{message_id, policy_version_id, period_id, threshold, organization_id, cap, settled, is_shadow,
-- payload}], each named once. Those that are new, or of a greater cap than before, become facts in the outbox, in the same
-- commit; of versions in shadow they are only noted, and become facts once the version is active. In one order, since two
-- workers that note the same ones wait for each other. Returns how many facts.
CREATE FUNCTION budgets_note_crossings_v1(crossings jsonb) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    at timestamptz := spendra_now_v1();
    facts outbox_message_v1[];
BEGIN
    WITH found AS (
        SELECT * FROM jsonb_to_recordset(crossings) AS c (message_id uuid, policy_version_id uuid, period_id bigint,
            threshold integer, organization_id uuid, cap bigint, settled bigint, is_shadow boolean, payload jsonb)
    ), noted AS (
        INSERT INTO budgets_crossing AS held
            (policy_version_id, period_id, threshold, organization_id, cap, settled, is_shadow, crossed_at)
        SELECT policy_version_id, period_id, threshold, organization_id, cap, settled, is_shadow, at FROM found
        ORDER BY policy_version_id, period_id, threshold
        ON CONFLICT (policy_version_id, period_id, threshold) DO UPDATE
        SET cap = EXCLUDED.cap, settled = EXCLUDED.settled, is_shadow = EXCLUDED.is_shadow, crossed_at = at
        WHERE held.cap < EXCLUDED.cap OR (held.is_shadow AND NOT EXCLUDED.is_shadow)
        RETURNING held.policy_version_id, held.period_id, held.threshold
    )
    SELECT array_agg((f.message_id, f.organization_id, 'policies.threshold_crossed', f.payload)::outbox_message_v1)
    INTO facts FROM found f JOIN noted USING (policy_version_id, period_id, threshold) WHERE NOT f.is_shadow;
    IF facts IS NOT NULL THEN
        PERFORM outbox_put_v1(facts, at);
    END IF;
    RETURN coalesce(cardinality(facts), 0);
END $$;
