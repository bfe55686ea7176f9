"""Of which rows the rules of an organization are made: read alike for a whole load and for a few changes.

A table that is read here needs the triggers of `budgets_govern_v2`, which name a row as its `Source` says.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from apps.gateway.rules import AccountRule, BudgetRule, KeyRule, UnitRule
from apps.policies import selectors, stored
from apps.policies.selectors import Selector
from apps.policies.types import ApprovalRule, FreezeRule, PolicyRule
from spendra.kernel.errors import Invalid

Row = list[Any]


class Ids(dict[str, UUID]):
    """Each id once, however many rules name it: half of the time and of the memory of a load."""

    def __missing__(self, text: str) -> UUID:
        self[text] = UUID(text)
        return self[text]


@dataclass(frozen=True, slots=True)
class Source:
    """A table of a part. A change of it names the rows to read again: those whose `column` is the name."""

    table: str
    column: str
    type: Literal["uuid", "text"]
    names_rule: bool = True  # the name is the rule's own in its part: not found again, the rule is gone


@dataclass(frozen=True, slots=True)
class Part:
    """A mapping of the rules. Its statement gives a JSON array a rule, of which `rule` makes its name and the rule;
    `{organization}` and `{which}` stand for whose rules, and for the condition that narrows them down."""

    name: str
    statement: str
    rule: Callable[[Row, Ids], tuple[Any, Any]]
    sources: tuple[Source, ...]


def _unit(row: Row, ids: Ids) -> tuple[UUID, UnitRule]:
    unit_id, kind, name, is_archived = row
    rule = UnitRule(ids[unit_id], kind, name, is_archived)
    return rule.id, rule


def _parents(row: Row, ids: Ids) -> tuple[UUID, tuple[UUID, ...]]:
    child, parents = row
    return ids[child], tuple(ids[parent] for parent in parents)


def _key(row: Row, ids: Ids) -> tuple[str, KeyRule]:
    key_id, environment, secret, actor, project, most, default_output, expires_at, is_revoked, grants = row
    return key_id, KeyRule(
        key_id=key_id,
        environment=environment,
        secret_sha256=bytes.fromhex(secret),
        actor_id=ids[actor],
        project_id=project and ids[project],
        max_reservation_nanos=most,
        default_output_tokens=default_output,
        expires_at=_instant(expires_at),
        is_revoked=is_revoked,
        grants=tuple(grants),
    )


def _budget(row: Row, ids: Ids) -> tuple[UUID, BudgetRule]:
    budget_id, unit, each, measure, period_kind, is_hard, starts_at, ends_at, selector = row
    rule = BudgetRule(
        id=ids[budget_id],
        unit_id=unit and ids[unit],
        applies_to_each=each,
        measure=measure,
        period_kind=period_kind,
        is_hard=is_hard,
        fixed_starts_at=_instant(starts_at),
        fixed_ends_at=_instant(ends_at),
        selector=_selector(selector),
    )
    return rule.id, rule


def _selector(data: object) -> Selector | None:
    """None where this release can't read it: a newer one may have written it while both run."""
    if data == {}:
        return selectors.EVERYTHING
    try:
        return selectors.parse(data)
    except Invalid:
        return None


def _account(row: Row, _: Ids) -> tuple[str, AccountRule]:
    provider, base_url, credential_reference = row
    return provider, AccountRule(base_url, credential_reference)


def _policy(row: Row, ids: Ids) -> tuple[UUID, PolicyRule]:
    rule = stored.policy_rule(row, ids.__getitem__)
    return rule.version_id, rule


def _freeze(row: Row, _: Ids) -> tuple[UUID, FreezeRule]:
    return stored.freeze_rule(row)


def _approval(row: Row, _: Ids) -> tuple[UUID, ApprovalRule]:
    rule = stored.approval_rule(row)
    return rule.id, rule


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


SETTINGS_TABLE = "orgs_organization"
SETTINGS = """
SELECT json_build_array(slug, time_zone, week_starts_on, fiscal_year_starts_month, default_output_tokens, requires_cap,
    suspended_at IS NOT NULL)
FROM orgs_organization WHERE id = {organization}
"""


def settings_of(row: Row) -> Mapping[str, Any]:
    slug, time_zone, week_starts_on, fiscal_year_starts_month, default_output_tokens, requires_cap, is_suspended = row
    return {
        "slug": slug,
        "zone": ZoneInfo(time_zone),
        "week_starts_on": week_starts_on,
        "fiscal_year_starts_month": fiscal_year_starts_month,
        "default_output_tokens": default_output_tokens,
        "requires_cap": requires_cap,
        "is_suspended": is_suspended,
    }


PARTS = (
    Part(
        "units",
        """
        SELECT json_build_array(id, kind, name, archived_at IS NOT NULL) AS rule
        FROM orgs_unit WHERE organization_id = {organization} AND {which}
        """,
        _unit,
        (Source("orgs_unit", "id", "uuid"),),
    ),
    Part(
        "parents",
        """
        SELECT json_build_array(child_id, json_agg(parent_id ORDER BY parent_id)) AS rule
        FROM orgs_unitedge WHERE organization_id = {organization} AND {which} GROUP BY child_id
        """,
        _parents,
        (Source("orgs_unitedge", "child_id", "uuid"),),
    ),
    Part(
        "keys",
        """
        SELECT json_build_array(k.key_id, k.environment_label, encode(k.secret_sha256, 'hex'), k.actor_id, k.project_id,
            k.max_reservation_nanos, k.default_output_tokens, k.expires_at, k.revoked_at IS NOT NULL,
            ARRAY(SELECT g.pattern FROM keys_grant g
                  WHERE g.key_id = k.id AND g.organization_id = k.organization_id ORDER BY g.pattern)) AS rule
        FROM keys_key k WHERE k.organization_id = {organization} AND {which}
        """,
        _key,
        (Source("keys_key", "k.key_id", "text"), Source("keys_grant", "k.id", "uuid", names_rule=False)),
    ),
    Part(
        "budgets",
        """
        SELECT json_build_array(id, unit_id, applies_to_each, measure, period_kind, hardness = 'hard', fixed_starts_at,
            fixed_ends_at, selector) AS rule
        FROM budgets_budget WHERE organization_id = {organization} AND archived_at IS NULL AND {which} ORDER BY id
        """,
        _budget,
        # Overrides are reserve's to read, by its own clock; they are noted under the id of their budget.
        (Source("budgets_budget", "id", "uuid"), Source("budgets_budgetoverride", "id", "uuid", names_rule=False)),
    ),
    Part(
        "accounts",
        """
        SELECT json_build_array(provider, base_url, credential_reference) AS rule
        FROM providers_provideraccount
        WHERE organization_id = {organization} AND archived_at IS NULL AND {which}
        """,
        _account,
        (Source("providers_provideraccount", "provider", "text"),),
    ),
    Part(
        "policies",
        f"""
        SELECT {stored.POLICY_ROW} AS rule FROM {stored.POLICY_ROWS}
        WHERE v.organization_id = {{organization}} AND {{which}}
        """,
        _policy,
        (
            Source("policies_policyversion", "v.id", "uuid"),
            Source("policies_policy", "v.policy_id", "uuid", names_rule=False),
        ),
    ),
    Part(
        "freezes",
        f"""
        SELECT {stored.FREEZE_ROW} AS rule FROM policies_freeze
        WHERE organization_id = {{organization}} AND thawed_at IS NULL AND {{which}}
        """,
        _freeze,
        (Source("policies_freeze", "id", "uuid"),),
    ),
    Part(
        "approvals",
        f"""
        SELECT {stored.APPROVAL_ROW} AS rule FROM policies_approval
        WHERE organization_id = {{organization}} AND valid_until > spendra_now_v1() AND {{which}}
        """,
        _approval,
        (Source("policies_approval", "id", "uuid"),),
    ),
)
