-- {id: state} of those reservations that exist. The bounds keep the lookup inside one or two months' partitions.
CREATE FUNCTION budgets_known_reservations_v1(ids uuid[]) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    lowest uuid;
    highest uuid;
    known jsonb;
BEGIN
    SELECT i INTO lowest FROM unnest(ids) i ORDER BY i LIMIT 1;
    SELECT i INTO highest FROM unnest(ids) i ORDER BY i DESC LIMIT 1;
    SELECT jsonb_object_agg(id, state) INTO known FROM budgets_reservation
    WHERE id = ANY (ids) AND id BETWEEN lowest AND highest;
    RETURN coalesce(known, '{}');
END $$;
