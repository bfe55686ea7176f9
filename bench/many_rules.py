"""The rules of a big company: ten thousand keys, five thousand units in a graph, five thousand budgets, two thousand
policies.

In SQL, since as many calls of use cases would take minutes.
"""

from typing import Any

import psycopg

KEYS = 10_000
SIZES = {"units": 5_000, "teams": 500, "budgets": 5_000, "policies": 2_000}

# Ten branches; each team belongs to one of them, each agent to a team and every fourth to a second one.
_UNITS = """
INSERT INTO orgs_unit (id, organization_id, kind, name, created_at)
SELECT gen_random_uuid(), %(organization)s,
    CASE WHEN n <= 10 THEN 'branch' WHEN n <= 10 + %(teams)s THEN 'team' ELSE 'agent' END, 'many ' || n, now()
FROM generate_series(1, %(units)s::integer) n
"""
_NUMBERED = """
WITH numbered AS MATERIALIZED (
    SELECT id, kind, row_number() OVER (PARTITION BY kind ORDER BY id) - 1 AS n, count(*) OVER (PARTITION BY kind) AS of
    FROM orgs_unit WHERE organization_id = %(organization)s AND name LIKE 'many %%')
"""
_EDGES = f"""
{_NUMBERED}
INSERT INTO orgs_unitedge (id, organization_id, parent_id, child_id)
SELECT gen_random_uuid(), %(organization)s, parent.id, child.id
FROM numbered child JOIN numbered parent
    ON (child.kind, parent.kind) IN (('team', 'branch'), ('agent', 'team')) AND parent.n = child.n %% parent.of
UNION ALL
SELECT gen_random_uuid(), %(organization)s, parent.id, child.id
FROM numbered child JOIN numbered parent
    ON child.kind = 'agent' AND child.n %% 4 = 0 AND parent.kind = 'team' AND parent.n = (child.n + 1) %% parent.of
"""
_BUDGETS = """
INSERT INTO budgets_budget (id, organization_id, unit_id, applies_to_each, measure, period_kind, amount, hardness,
    counts_from_now, created_at)
SELECT gen_random_uuid(), %(organization)s, id, '', 'nanos', 'month', 1000000000000000, 'hard', true, now()
FROM orgs_unit WHERE organization_id = %(organization)s AND name LIKE 'many %%' LIMIT %(budgets)s::integer
"""
_POLICIES = """
WITH policy AS (
    INSERT INTO policies_policy (id, organization_id, unit_id, name, kind, revision, created_at)
    SELECT gen_random_uuid(), %(organization)s, id, name, 'per_request_limit', 1, now()
    FROM orgs_unit WHERE organization_id = %(organization)s AND name LIKE 'many %%'
    LIMIT %(policies)s::integer RETURNING *)
INSERT INTO policies_policyversion (id, organization_id, policy_id, number, selector, rule, state, created_by,
    created_at, activated_at)
SELECT gen_random_uuid(), organization_id, id, 1, '{"models": ["openai/*"]}', '{"max_usd": "2.00"}', 'active', 'bench',
    now(), now()
FROM policy
"""
_KEYS = f"""
{_NUMBERED}
INSERT INTO keys_key (id, organization_id, actor_id, key_id, secret_sha256, environment_label, created_at)
SELECT gen_random_uuid(), %(organization)s, agent.id, %(prefix)s || i, sha256(i::text::bytea), 'production', now()
FROM generate_series(1, %(keys)s) i JOIN numbered agent ON agent.kind = 'agent' AND agent.n = i %% agent.of
"""
_GRANTS = """
INSERT INTO keys_grant (id, organization_id, key_id, pattern)
SELECT gen_random_uuid(), %(organization)s, id, pattern
FROM keys_key, unnest(ARRAY['openai/*', 'anthropic/claude-*']) pattern
WHERE organization_id = %(organization)s AND key_id LIKE %(prefix)s || '%%'
"""


def add(connection: psycopg.Connection[Any], organization: str, *, share: float = 1) -> None:
    """To the organization of that slug, which has none of it; of everything that share."""
    asked = {"organization": id_of(connection, organization)} | {name: size * share for name, size in SIZES.items()}
    for statement in (_UNITS, _EDGES, _BUDGETS, _POLICIES):
        connection.execute(statement, asked)
    import_keys(connection, organization, count=int(KEYS * share), prefix="many-")
    connection.execute("ANALYZE")


def import_keys(connection: psycopg.Connection[Any], organization: str, *, count: int, prefix: str) -> None:
    """In one transaction, each key with two grants."""
    asked = {"organization": id_of(connection, organization), "keys": count, "prefix": prefix}
    with connection.transaction():
        connection.execute(_KEYS, asked)
        connection.execute(_GRANTS, asked)


def id_of(connection: psycopg.Connection[Any], organization: str) -> Any:
    row = connection.execute("SELECT id FROM orgs_organization WHERE slug = %s", [organization]).fetchone()
    assert row is not None
    return row[0]
