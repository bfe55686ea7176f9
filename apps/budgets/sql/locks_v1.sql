-- One order for every writer: reservations by id -> periods by (lock_rank, id) -> fence -> inserts.
-- These functions are the only places that take such locks. FOR NO KEY UPDATE: a foreign key's KEY SHARE passes.
CREATE FUNCTION budgets_lock_reservations_v1(ids uuid[]) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    lowest uuid;
    highest uuid;
BEGIN
    -- The bounds let the planner skip the partitions of other months.
    SELECT i INTO lowest FROM unnest(ids) i ORDER BY i LIMIT 1;
    SELECT i INTO highest FROM unnest(ids) i ORDER BY i DESC LIMIT 1;
    PERFORM FROM budgets_reservation
    WHERE id = ANY (ids) AND id BETWEEN lowest AND highest
    ORDER BY id FOR NO KEY UPDATE;
END $$;

-- Actor first, organization last: one stuck employee's row must not hold the whole organization's.
CREATE FUNCTION budgets_lock_periods_v1(ids bigint[]) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM budgets_period WHERE id = ANY (ids) ORDER BY lock_rank, id FOR NO KEY UPDATE;
END $$;

-- The fence: shared by every reserve, exclusive for whoever changes a rule, from his last act to his commit.
-- So no reserve commits after a change was acknowledged unless it was decided with it.
CREATE FUNCTION budgets_fence_v1() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 23487645623906913';
