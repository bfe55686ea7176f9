-- Keeps an ending that Postgres refused for its data, and tells of it in the outbox, in the same commit: once, however often
-- it comes again before somebody has looked, as where it waits beside others that can't be booked yet. A sweeper does not
-- know whose reservation it is. Returns the id that it is kept by.
CREATE FUNCTION budgets_quarantine_v1(id uuid, reservation uuid, organization uuid, payload jsonb, error text)
RETURNS uuid LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    at timestamptz := spendra_now_v1();
    kept uuid := (SELECT q.id FROM budgets_settlequarantine q
                  WHERE q.reservation_id = reservation AND q.resolved_at IS NULL
                    AND q.payload = budgets_quarantine_v1.payload ORDER BY q.id LIMIT 1);
    owner uuid := coalesce(organization, (SELECT r.organization_id FROM budgets_reservation r WHERE r.id = reservation));
BEGIN
    IF kept IS NOT NULL THEN
        RETURN kept;
    END IF;
    INSERT INTO budgets_settlequarantine (id, reservation_id, organization_id, payload, error, created_at)
    VALUES (id, reservation, owner, payload, error, at);
    PERFORM outbox_put_v1(ARRAY[(id, owner, 'budgets.ending_quarantined', jsonb_build_object(
        'quarantined_id', id, 'reservation_id', reservation, 'kind', payload ->> 'kind', 'error', split_part(error, E'\n', 1)
    ))::outbox_message_v1], at);
    RETURN id;
END $$;
