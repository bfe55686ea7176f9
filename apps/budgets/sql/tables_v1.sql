-- Partitioned by id: a UUIDv7 carries its time, so the primary key stays unique over all partitions.
CREATE TABLE budgets_reservation (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    key_id text NOT NULL,
    actor_id uuid NOT NULL,
    process_id uuid NOT NULL,
    request_id text NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    price_version_id uuid,
    amount_nanos bigint NOT NULL CHECK (amount_nanos BETWEEN 0 AND 1000000000000000),
    amount_tokens bigint NOT NULL CHECK (amount_tokens BETWEEN 0 AND 1000000000000000),
    scope_ids uuid[] NOT NULL,
    period_ids bigint[] NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'settled', 'voided', 'expired')),
    end_cause text NOT NULL DEFAULT '',
    booked_nanos bigint NOT NULL DEFAULT 0 CHECK (booked_nanos BETWEEN 0 AND 1000000000000000),
    booked_tokens bigint NOT NULL DEFAULT 0 CHECK (booked_tokens BETWEEN 0 AND 1000000000000000),
    is_late boolean NOT NULL DEFAULT false,
    entry_id uuid,
    reserved_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz
) PARTITION BY RANGE (id);
CREATE INDEX budgets_reservation_open ON budgets_reservation (organization_id, id) WHERE state = 'open';

-- Vacuum must not ask for the lock with which it gives pages back; a partition does not take that from its parent.
CREATE FUNCTION budgets_ensure_partitions_v1() RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    made integer := spendra_ensure_month_partitions_v1('budgets_reservation', 'uuid7');
    partition regclass;
BEGIN
    FOR partition IN SELECT c.oid FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                     WHERE i.inhparent = 'budgets_reservation'::regclass AND c.reloptions IS NULL LOOP
        EXECUTE format('ALTER TABLE %s SET (vacuum_truncate = off)', partition);
    END LOOP;
    RETURN made;
END $$;
SELECT budgets_ensure_partitions_v1();

-- Hot rows: room for HOT updates on the page, vacuum by a fixed threshold, no lock to give pages back.
ALTER TABLE budgets_period SET (
    fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, vacuum_truncate = off);
ALTER TABLE budgets_governanceversion SET (
    fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
ALTER TABLE budgets_gatewayprocess SET (
    fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
-- Periods that somebody still has to seed: the worker looks for them each second. The flag changes once in a period's
-- life, so counters keep their HOT updates.
CREATE INDEX budgets_period_seeding ON budgets_period (id) WHERE is_seeding;
