"""Rules changed in the ways that SQL allows, in transactions of any shape; and a gateway's memory that follows them."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import psycopg
from hypothesis import strategies as st

from apps.budgets.connecting import HotConnection
from apps.gateway.rules import OrganizationRules
from apps.gateway.rules_following import FOLLOWING, follow
from apps.gateway.rules_loading import RulesLoader

Connection = psycopg.Connection[Any]


def nth(table: str, condition: str = "true") -> str:
    """One row of the organization's, whichever there are."""
    of = f"FROM {table} WHERE organization_id = %(organization)s AND {condition}"
    return f"(SELECT id {of} ORDER BY id OFFSET %(n)s %% greatest((SELECT count(*) {of}), 1) LIMIT 1)"


UNIT, EDGE, KEY = nth("orgs_unit"), nth("orgs_unitedge"), nth("keys_key")
GRANT, BUDGET, ACCOUNT = nth("keys_grant"), nth("budgets_budget"), nth("providers_provideraccount")
POLICY, FREEZE, APPROVAL = nth("policies_policy"), nth("policies_freeze"), nth("policies_approval")
DRAFT, IN_FORCE = (
    nth("policies_policyversion", f"state IN ({states})") for states in ("'draft'", "'shadow', 'active'")
)
OVERRIDE = nth("budgets_budgetoverride")
NEXT_UNIT = UNIT.replace("%(n)s", "(%(n)s + 1)")

# The parameters: an organization, another one, and a number that chooses rows and makes names.
STATEMENTS = (
    "UPDATE orgs_organization SET time_zone = CASE time_zone WHEN 'UTC' THEN 'Asia/Tokyo' ELSE 'UTC' END, "
    "requires_cap = NOT requires_cap, week_starts_on = %(n)s %% 7 WHERE id = %(organization)s",
    "UPDATE orgs_organization SET suspended_at = CASE WHEN suspended_at IS NULL THEN now() END, "
    "default_output_tokens = %(n)s WHERE id = %(organization)s",
    "INSERT INTO orgs_unit (id, organization_id, kind, name, created_at) "
    "VALUES (gen_random_uuid(), %(organization)s, (ARRAY['team', 'agent'])[1 + %(n)s %% 2], 'new ' || %(n)s, now())",
    f"UPDATE orgs_unit SET name = name || '.' WHERE id = {UNIT}",
    f"UPDATE orgs_unit SET archived_at = CASE WHEN archived_at IS NULL THEN now() END WHERE id = {UNIT}",
    f"UPDATE orgs_unit SET created_at = now() WHERE id = {UNIT}",
    f"UPDATE orgs_unit SET id = gen_random_uuid() WHERE id = {UNIT}",
    f"DELETE FROM orgs_unit WHERE id = {UNIT}",
    "INSERT INTO orgs_unitedge (id, organization_id, parent_id, child_id) "
    f"VALUES (gen_random_uuid(), %(organization)s, {UNIT}, {NEXT_UNIT})",
    f"UPDATE orgs_unitedge SET child_id = {UNIT} WHERE id = {EDGE}",
    f"UPDATE orgs_unitedge SET parent_id = {UNIT} WHERE id = {EDGE}",
    f"DELETE FROM orgs_unitedge WHERE id = {EDGE}",
    "DELETE FROM orgs_unitedge WHERE organization_id = %(organization)s",
    "INSERT INTO keys_key (id, organization_id, actor_id, key_id, secret_sha256, environment_label, created_at) "
    f"VALUES (gen_random_uuid(), %(organization)s, {UNIT}, 'new-' || gen_random_uuid(), '\\x00ff', "
    "'production', now())",
    f"UPDATE keys_key SET revoked_at = CASE WHEN revoked_at IS NULL THEN now() END WHERE id = {KEY}",
    f"UPDATE keys_key SET expires_at = now() + %(n)s * interval '1 hour', project_id = {UNIT} WHERE id = {KEY}",
    f"UPDATE keys_key SET max_reservation_nanos = %(n)s, default_output_tokens = NULL WHERE id = {KEY}",
    f"UPDATE keys_key SET key_id = key_id || '.' WHERE id = {KEY}",
    f"UPDATE keys_key SET organization_id = %(other)s WHERE id = {KEY}",
    f"DELETE FROM keys_key WHERE id = {KEY}",
    "INSERT INTO keys_grant (id, organization_id, key_id, pattern) "
    f"VALUES (gen_random_uuid(), %(organization)s, {KEY}, 'openai/new-' || %(n)s)",
    f"UPDATE keys_grant SET pattern = pattern || '*' WHERE id = {GRANT}",
    f"UPDATE keys_grant SET key_id = {KEY} WHERE id = {GRANT}",
    f"UPDATE keys_grant SET organization_id = %(other)s WHERE id = {GRANT}",
    f"DELETE FROM keys_grant WHERE id = {GRANT}",
    "DELETE FROM keys_grant WHERE organization_id = %(organization)s",
    "INSERT INTO budgets_budget (id, organization_id, unit_id, applies_to_each, measure, period_kind, amount, "
    f"hardness, counts_from_now, created_at) VALUES (gen_random_uuid(), %(organization)s, {UNIT}, '', 'nanos', 'day', "
    "%(n)s, 'hard', true, now())",
    "INSERT INTO budgets_budget (id, organization_id, applies_to_each, measure, period_kind, amount, hardness, "
    "counts_from_now, created_at, fixed_starts_at, fixed_ends_at) VALUES (gen_random_uuid(), %(organization)s, "
    "'agent', 'requests', 'fixed', %(n)s, 'soft', true, now(), now(), now() + interval '1 day')",
    f"UPDATE budgets_budget SET amount = amount + 1 WHERE id = {BUDGET}",
    f"UPDATE budgets_budget SET hardness = CASE hardness WHEN 'soft' THEN 'hard' ELSE 'soft' END WHERE id = {BUDGET}",
    f"UPDATE budgets_budget SET unit_id = {UNIT} WHERE id = {BUDGET}",
    f"UPDATE budgets_budget SET unit_id = NULL WHERE id = {BUDGET}",
    f"UPDATE budgets_budget SET archived_at = CASE WHEN archived_at IS NULL THEN now() END WHERE id = {BUDGET}",
    f"UPDATE budgets_budget SET organization_id = %(other)s, unit_id = NULL WHERE id = {BUDGET}",
    f"DELETE FROM budgets_budget WHERE id = {BUDGET}",
    "INSERT INTO providers_provideraccount (id, organization_id, provider, base_url, credential_reference, created_at) "
    "VALUES (gen_random_uuid(), %(organization)s, 'provider-' || %(n)s %% 3, '', 'env:' || %(n)s, now())",
    f"UPDATE providers_provideraccount SET base_url = base_url || '/' WHERE id = {ACCOUNT}",
    f"UPDATE providers_provideraccount SET provider = provider || '.' WHERE id = {ACCOUNT}",
    "UPDATE providers_provideraccount SET archived_at = CASE WHEN archived_at IS NULL THEN now() END "
    f"WHERE id = {ACCOUNT}",
    f"DELETE FROM providers_provideraccount WHERE id = {ACCOUNT}",
    "UPDATE orgs_organization SET fiscal_year_starts_month = 1 + (fiscal_year_starts_month + %(n)s) %% 12 "
    "WHERE id = %(organization)s",
    f"UPDATE keys_key SET environment_label = 'staging' WHERE id = {KEY}",
    f'UPDATE budgets_budget SET selector = \'{{"models": ["openai/gpt-4*"]}}\' WHERE id = {BUDGET}',
    f"UPDATE budgets_budget SET selector = '{{\"of_tomorrow\": true}}' WHERE id = {BUDGET}",
    "INSERT INTO budgets_budgetoverride (id, budget_id, organization_id, amount, starts_at, ends_at, author, reason, "
    f"created_at) VALUES (gen_random_uuid(), {BUDGET}, %(organization)s, %(n)s, now() + %(n)s * interval '1 hour', "
    "now() + (%(n)s + 1) * interval '1 hour', 'test', 'test', now())",
    f"UPDATE budgets_budgetoverride SET ended_at = now() WHERE id = {OVERRIDE}",
    f"UPDATE budgets_budgetoverride SET budget_id = {BUDGET} WHERE id = {OVERRIDE}",
    f"DELETE FROM budgets_budgetoverride WHERE id = {OVERRIDE}",
    "INSERT INTO policies_policy (id, organization_id, unit_id, name, kind, revision, created_at) VALUES "
    f"(gen_random_uuid(), %(organization)s, {UNIT}, 'new ' || gen_random_uuid(), 'review', 1, now())",
    f"UPDATE policies_policy SET name = name || '.' WHERE id = {POLICY}",
    f"UPDATE policies_policy SET unit_id = {UNIT} WHERE id = {POLICY}",
    f"UPDATE policies_policy SET unit_id = NULL, kind = 'allowlist' WHERE id = {POLICY}",
    "INSERT INTO policies_policyversion (id, organization_id, policy_id, number, selector, rule, state, created_by, "
    f"created_at) VALUES (gen_random_uuid(), %(organization)s, {POLICY}, 100 + %(n)s, '{{}}', '{{}}', 'draft', 'test', "
    "now())",
    f'UPDATE policies_policyversion SET rule = \'{{"above_nanos": "1"}}\' WHERE id = {DRAFT}',
    f"UPDATE policies_policyversion SET state = 'shadow', effective_until = now() + '1 day' WHERE id = {DRAFT}",
    f"UPDATE policies_policyversion SET state = 'active', effective_from = now() WHERE id = {DRAFT}",
    f"UPDATE policies_policyversion SET state = 'retired' WHERE id = {IN_FORCE}",
    "INSERT INTO policies_freeze (id, organization_id, target_kind, target_id, reason, frozen_by, frozen_at, "
    "thawed_by, thaw_reason) VALUES (gen_random_uuid(), %(organization)s, 'key', %(n)s::text, 'test', 'test', now(), "
    "'', '')",
    f"UPDATE policies_freeze SET reason = reason || '.' WHERE id = {FREEZE}",
    f"UPDATE policies_freeze SET thawed_at = CASE WHEN thawed_at IS NULL THEN now() END WHERE id = {FREEZE}",
    f"DELETE FROM policies_freeze WHERE id = {FREEZE}",
    "WITH review AS (INSERT INTO policies_review (id, organization_id, key_id, actor_id, policy_version_id, provider, "
    "model, asked_nanos, state, decided_by, note, created_at) SELECT id, %(organization)s, 'key', id, id, 'openai', "
    "'m', %(n)s, 'approved', '', '', now() FROM gen_random_uuid() id RETURNING *) INSERT INTO policies_approval (id, "
    "organization_id, review_id, key_id, provider, model, max_nanos, valid_until, created_at) SELECT id, "
    "organization_id, id, key_id, provider, model, %(n)s, now() + interval '1 day', now() FROM review",
    f"UPDATE policies_approval SET max_nanos = max_nanos + 1, key_id = 'other' WHERE id = {APPROVAL}",
    f"DELETE FROM policies_approval WHERE id = {APPROVAL}",
    "UPDATE catalog_catalogmodel SET max_output_tokens = %(n)s WHERE provider = 'openai' AND name = 'gpt-4.1'",
    "SET CONSTRAINTS ALL IMMEDIATE",
    "SET CONSTRAINTS ALL DEFERRED",
    "TRUNCATE keys_grant",
)


@dataclass(frozen=True)
class Change:
    statement: str
    n: int
    is_first: bool = True  # of which of two organizations
    is_rolled_back: bool = False


RULE_CHANGES = [text for text in STATEMENTS if not text.startswith(("SET", "TRUNCATE"))]
# Of these tables use cases make rows only beside requests.
BESIDE_REQUESTS = [
    text for text in STATEMENTS if text.startswith(("INSERT INTO budgets_budgetoverride", "WITH review"))
]
_changes = st.builds(
    Change,
    statement=st.sampled_from(STATEMENTS),
    n=st.integers(0, 9),
    is_first=st.booleans(),
    is_rolled_back=st.sampled_from([False, False, False, True]),
)
# Steps of transactions, which stay or are rolled back.
_transactions = st.tuples(st.lists(_changes, min_size=1, max_size=6), st.sampled_from([True, True, True, False]))
History = list[list[tuple[list[Change], bool]]]
histories = st.lists(st.lists(_transactions, min_size=1, max_size=3), min_size=1, max_size=5)


def commit(connection: Connection, changes: Sequence[Change], organizations: Sequence[UUID], *, stays: bool) -> bool:
    """One transaction; each change in a savepoint, so that one that Postgres refuses harms no other. Whether it stayed,
    which a foreign key may still prevent."""
    try:
        with connection.transaction(force_rollback=not stays):
            for change in changes:
                _make(connection, change, organizations)
    except psycopg.Error:
        return False
    return stays


def _make(connection: Connection, change: Change, organizations: Sequence[UUID]) -> None:
    first, second = organizations if change.is_first else reversed(organizations)
    try:
        with connection.transaction(force_rollback=change.is_rolled_back):
            connection.execute(change.statement, {"organization": first, "other": second, "n": change.n})
    except psycopg.Error:
        pass


@dataclass
class Memory:
    """What a gateway holds of one organization; `follow` brings it up to date, as a gateway does."""

    organization_id: UUID
    connection: HotConnection
    loader: RulesLoader
    follows: int = 0
    rules: OrganizationRules | None = None

    async def follow(self) -> OrganizationRules | None:
        """What the notes lead to, None where they don't; then all of it is loaded."""
        followed = None
        if self.rules is not None:
            answer = await self.connection.ask(FOLLOWING, (self.organization_id, self.rules.last_change))
            followed = follow(self.rules, orjson.loads(str(answer)))
        self.follows += followed is not None
        self.rules = followed or self.load()
        return followed

    def load(self) -> OrganizationRules:
        rules = self.loader.organization(self.organization_id)
        assert rules is not None
        return rules


def remembering(url: str, organization_ids: Sequence[UUID], play: Callable[..., Coroutine[Any, Any, None]]) -> None:
    """Plays with a memory of each organization, loaded."""

    async def run() -> None:
        connection, loader = HotConnection(url, name="memory"), RulesLoader(url)
        memories = [Memory(organization_id, connection, loader) for organization_id in organization_ids]
        try:
            for memory in memories:
                await memory.follow()
            await play(*memories)
        finally:
            await connection.close()
            loader.close()

    asyncio.run(run())
