-- What is left of periods, in one snapshot and without a lock: [{id, budget_id, unit_id, measure, period_kind, hardness,
-- label, starts_at, ends_at, cap (in force now), base, override_ends_at, settled, reserved, remaining, is_seeding}] in the
-- order asked, null where there is no such period. `remaining` may be negative: what stands above a cap.
CREATE FUNCTION budgets_state_v1(period_ids bigint[]) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(CASE WHEN period.id IS NOT NULL THEN jsonb_build_object(
        'id', period.id, 'budget_id', budget.id, 'unit_id', period.unit_id, 'measure', budget.measure,
        'period_kind', budget.period_kind, 'hardness', budget.hardness, 'label', period.label,
        'starts_at', period.starts_at, 'ends_at', period.ends_at, 'cap', coalesce(o.amount, budget.amount),
        'base', budget.amount, 'override_ends_at', o.ends_at, 'settled', period.settled, 'reserved', period.reserved,
        'remaining', coalesce(o.amount, budget.amount) - period.settled - period.reserved,
        'is_seeding', period.is_seeding) END ORDER BY asked.n), '[]')
    FROM unnest(period_ids) WITH ORDINALITY asked (id, n)
    CROSS JOIN spendra_now_v1() now (at)
    LEFT JOIN budgets_period period ON period.id = asked.id
    LEFT JOIN budgets_budget budget ON budget.id = period.budget_id
    LEFT JOIN budgets_budgetoverride o ON o.budget_id = budget.id AND o.starts_at <= now.at AND o.ends_at > now.at
        AND (o.ended_at IS NULL OR o.ended_at > now.at)
$$;
