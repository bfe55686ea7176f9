-- Keeps an ending that Postgres refused for its data, and tells of it in the outbox, in the same commit. A sweeper does not
-- know whose reservation it is. Returns the id.
CREATE FUNCTION budgets_quarantine_v1(id uuid, reservation uuid, organization uuid, payload jsonb, error text)
RETURNS uuid LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    at timestamptz := spendra_now_v1();
    owner uuid := coalesce(organization, (SELECT r.organization_id FROM budgets_reservation r WHERE r.id = reservation));
BEGIN
    INSERT INTO budgets_settlequarantine (id, reservation_id, organization_id, payload, error, created_at)
    VALUES (id, reservation, owner, payload, error, at);
    PERFORM outbox_put_v1(ARRAY[(id, owner, 'budgets.ending_quarantined', jsonb_build_object(
        'quarantined_id', id, 'reservation_id', reservation, 'kind', payload ->> 'kind', 'error', split_part(error, E'\n', 1)
    ))::outbox_message_v1], at);
    RETURN id;
END $$;
