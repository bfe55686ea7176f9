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
# One a unit, of all kinds; what a request for openai/gpt-4.1-mini asks for fits under each of them for ever.
_BUDGETS = """
INSERT INTO budgets_budget (id, organization_id, unit_id, applies_to_each, measure, period_kind, amount, hardness,
    selector, counts_from_now, created_at)
SELECT gen_random_uuid(), %(organization)s, id, '', CASE WHEN n %% 5 = 0 THEN 'requests' ELSE 'nanos' END,
    CASE WHEN n %% 4 = 0 THEN 'day' ELSE 'month' END, 1000000000000000,
    CASE WHEN n %% 7 = 0 THEN 'soft' ELSE 'hard' END,
    CASE WHEN n %% 9 = 0 THEN '{"tools": ["web_search"]}' WHEN n %% 3 = 0 THEN '{"models": ["openai/*"]}'
        ELSE '{}' END::jsonb, true, now()
FROM (SELECT id, row_number() OVER (ORDER BY length(name), name) AS n FROM orgs_unit
      WHERE organization_id = %(organization)s AND name LIKE 'many %%') unit
WHERE n <= %(budgets)s
"""
# One a unit, and every hundredth the organization's, of all kinds; that request passes each of them.
_POLICIES = """
WITH shape (place, kind, state, rule, selector) AS (VALUES
    (0, 'allowlist', 'active', '{"models": ["openai/*", "anthropic/claude-*"], "tools": ["web_search"]}', '{}'),
    (1, 'per_request_limit', 'active', '{"max_nanos": "2000000000"}', '{"models": ["openai/*"]}'),
    (2, 'review', 'active', '{"above_nanos": "1000000000"}', '{"actor_kinds": ["agent"]}'),
    (3, 'alert', 'active', '{"thresholds": [80, 100]}', '{}'),
    (4, 'per_request_limit', 'active', '{"max_input_tokens": 1000000}', '{"environments": ["production"]}'),
    (5, 'allowlist', 'active', '{"models": ["openai/gpt-4.1-nano"]}', '{"environments": ["staging"]}'),
    (6, 'per_request_limit', 'shadow', '{"max_output_tokens": 30000}', '{}')),
unit AS (SELECT id, row_number() OVER (ORDER BY length(name), name) AS n FROM orgs_unit
         WHERE organization_id = %(organization)s AND name LIKE 'many %%'),
policy AS (
    INSERT INTO policies_policy (id, organization_id, unit_id, name, kind, revision, created_at)
    SELECT gen_random_uuid(), %(organization)s, CASE WHEN n %% 100 > 0 THEN unit.id END, 'many ' || n, kind, 1, now()
    FROM unit JOIN shape ON place = n %% 7 WHERE n <= %(policies)s RETURNING *)
INSERT INTO policies_policyversion (id, organization_id, policy_id, number, selector, rule, state, created_by,
    created_at, activated_at, shadowed_at)
SELECT gen_random_uuid(), organization_id, id, 1, selector::jsonb, rule::jsonb, state, 'bench', now(),
    CASE state WHEN 'active' THEN now() END, CASE state WHEN 'shadow' THEN now() END
FROM policy JOIN shape ON place = substr(name, 6)::bigint %% 7
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
