-- An override names its budget: that is the row which gateways read again.
SELECT budgets_govern_v2('budgets_budgetoverride', 'organization_id', 'budget_id');
SELECT budgets_govern_v2('policies_policy', 'organization_id', 'id');
SELECT budgets_govern_v2('policies_policyversion', 'organization_id', 'id');
SELECT budgets_govern_v2('policies_freeze', 'organization_id', 'id');
SELECT budgets_govern_v2('policies_approval', 'organization_id', 'id');
