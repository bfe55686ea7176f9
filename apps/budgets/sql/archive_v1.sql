-- What the entries of an archived month amount to, by period: ledger_verify adds it to the entries that are kept.
CREATE TABLE budgets_periodarchive (
    period_id bigint NOT NULL,
    month date NOT NULL,
    nanos numeric NOT NULL,
    tokens numeric NOT NULL,
    requests bigint NOT NULL,
    entries bigint NOT NULL,
    PRIMARY KEY (period_id, month)
);
SELECT spendra_protect_rows_v1('budgets_periodarchive'), spendra_protect_truncate_v1('budgets_periodarchive');
