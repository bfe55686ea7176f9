-- Two overrides of one budget never overlap, however many people make them at once. An index that knows ranges only gets
-- the budget as a range of one. An override ended early counts until then; one ended before it began, not at all.
CREATE TYPE budgets_uuidrange_v1 AS RANGE (subtype = uuid);

ALTER TABLE budgets_budgetoverride ADD CONSTRAINT override_one_at_a_time EXCLUDE USING gist (
    budgets_uuidrange_v1(budget_id, budget_id, '[]') WITH &&,
    tstzrange(starts_at, greatest(starts_at, least(ends_at, ended_at))) WITH &&);
