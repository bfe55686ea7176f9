-- Sums of the month that is being archived, so that an interrupted run is gone on with: how far each organization's
-- entries are summed, and what they amount to; period 0 stands for the whole month. Emptied when the month is booked.
CREATE TABLE budgets_archivingposition (organization_id uuid PRIMARY KEY, position timestamptz NOT NULL);
CREATE TABLE budgets_archivingsum (
    period_id bigint PRIMARY KEY,
    nanos numeric NOT NULL,
    tokens numeric NOT NULL,
    requests bigint NOT NULL,
    entries bigint NOT NULL
);
