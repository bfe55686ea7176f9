-- Partitioned by booked_at; no foreign keys (an insert's KEY SHARE lock behind somebody's row lock stops every settle).
CREATE TABLE ledger_spendevent (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    reservation_id uuid NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    usage jsonb NOT NULL,
    price_version_id uuid,
    cost_nanos bigint NOT NULL CHECK (cost_nanos BETWEEN 0 AND 1000000000000000),
    status text NOT NULL CHECK (status IN ('final', 'estimated')),
    occurred_at timestamptz NOT NULL,
    booked_at timestamptz NOT NULL,
    PRIMARY KEY (id, booked_at)
) PARTITION BY RANGE (booked_at);

CREATE TABLE ledger_ledgerentry (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    reservation_id uuid NOT NULL,
    spend_event_id uuid,
    corrects_id uuid,
    kind text NOT NULL CHECK (kind IN ('charge', 'correction')),
    status text NOT NULL CHECK (status IN ('final', 'estimated')),
    cause text NOT NULL,
    amount_nanos bigint NOT NULL CHECK (amount_nanos BETWEEN -1000000000000000 AND 1000000000000000),
    tokens bigint NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    key_id text NOT NULL,
    actor_id uuid NOT NULL,
    scope_ids uuid[] NOT NULL,
    period_ids bigint[] NOT NULL,
    occurred_at timestamptz NOT NULL,
    booked_at timestamptz NOT NULL,
    PRIMARY KEY (id, booked_at),
    CHECK ((kind = 'correction') = (corrects_id IS NOT NULL)),
    CHECK (kind = 'correction' OR amount_nanos >= 0 AND tokens >= 0)
) PARTITION BY RANGE (booked_at);
CREATE INDEX ledger_entry_by_organization ON ledger_ledgerentry (organization_id, booked_at);
CREATE INDEX ledger_entry_by_reservation ON ledger_ledgerentry (reservation_id);

SELECT spendra_protect_rows_v1(t), spendra_protect_truncate_v1(t)
FROM unnest(ARRAY['ledger_spendevent', 'ledger_ledgerentry']::regclass[]) t;

CREATE FUNCTION ledger_ensure_partitions_v1() RETURNS integer LANGUAGE sql VOLATILE AS $$
    SELECT spendra_ensure_month_partitions_v1('ledger_spendevent', 'time')
         + spendra_ensure_month_partitions_v1('ledger_ledgerentry', 'time')
$$;
SELECT ledger_ensure_partitions_v1();
