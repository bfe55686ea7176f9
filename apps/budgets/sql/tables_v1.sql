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
    booked_nanos bigint NOT NULL DEFAULT 0,
    booked_tokens bigint NOT NULL DEFAULT 0,
    is_late boolean NOT NULL DEFAULT false,
    entry_id uuid,
    reserved_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz
) PARTITION BY RANGE (id);
CREATE INDEX budgets_reservation_open ON budgets_reservation (organization_id, id) WHERE state = 'open';

CREATE FUNCTION budgets_ensure_partitions_v1() RETURNS integer LANGUAGE sql VOLATILE AS $$
    SELECT spendra_ensure_month_partitions_v1('budgets_reservation', 'uuid7')
$$;
SELECT budgets_ensure_partitions_v1();

-- Hot rows: room for HOT updates on the page, vacuum by a fixed threshold, no lock to give pages back.
ALTER TABLE budgets_period SET (
    fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, vacuum_truncate = off);
ALTER TABLE budgets_governanceversion SET (
    fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
ALTER TABLE budgets_gatewayprocess SET (
    fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
