-- What ledger_verify has proved and need not read again: rows that can't change any more. Written by verifying.py alone.
-- The nil organization stands for all of them. A position is the last id, or the instant before which all is proved.
CREATE TABLE budgets_verifiedposition (
    walk text NOT NULL CHECK (walk IN ('references', 'reservations', 'spend_events', 'entries', 'sums')),
    organization_id uuid NOT NULL,
    position text NOT NULL,
    PRIMARY KEY (walk, organization_id)
);
-- What the entries before the position of `sums` amount to, by period.
CREATE TABLE budgets_verifiedsum (
    period_id bigint PRIMARY KEY,
    nanos numeric NOT NULL,
    tokens numeric NOT NULL,
    requests numeric NOT NULL
);
