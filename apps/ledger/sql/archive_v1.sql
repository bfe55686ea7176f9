-- Months whose entries are summed up and may go. A row here is the moment from which nobody counts them any more: what
-- lies in their partitions until these are dropped is read by no proof and no rebuild.
CREATE TABLE ledger_archivedmonth (
    month date PRIMARY KEY CHECK (extract(day FROM month) = 1),
    entries bigint NOT NULL,
    nanos numeric NOT NULL,
    tokens numeric NOT NULL,
    requests bigint NOT NULL,
    archived_at timestamptz NOT NULL
);
SELECT spendra_protect_rows_v1('ledger_archivedmonth'), spendra_protect_truncate_v1('ledger_archivedmonth');

-- Everything booked since then is in the ledger. The beginning of time where nothing was archived.
CREATE FUNCTION ledger_kept_since_v1() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT coalesce(max(month) + interval '1 month', timestamp '1970-01-01') AT TIME ZONE 'UTC' FROM ledger_archivedmonth
$$;
