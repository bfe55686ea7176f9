"""From rows to what a snapshot holds. Nothing here fails: what this release can't read becomes a rule that denies: a
newer release may have written it while both run."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from apps.policies import contents, selectors
from apps.policies.contents import Content, Unreadable
from apps.policies.selectors import Selector
from apps.policies.types import ApprovalRule, FreezeRule, PolicyRule
from spendra.kernel.errors import Invalid

# The JSON array of a row that `policy_rule` reads, of a version v and its policy p; those in force by their state.
POLICY_ROW = """json_build_array(v.id, v.policy_id, p.name, v.number, p.kind, p.unit_id, v.selector, v.rule,
    v.state = 'shadow', v.effective_from, v.effective_until)"""
POLICY_ROWS = """policies_policyversion v
    JOIN policies_policy p ON p.id = v.policy_id AND v.state IN ('shadow', 'active')"""
# The same of a freeze, for `freeze_rule`; open ones have no thawed_at.
FREEZE_ROW = "json_build_array(id, target_kind, target_id, reason)"
# The same of an approval, for `approval_rule`.
APPROVAL_ROW = "json_build_array(id, key_id, provider, model, max_nanos, valid_until)"


def policy_rule(row: list[Any], as_uuid: Callable[[str], UUID] = UUID) -> PolicyRule:
    """`as_uuid` lets the caller share equal ids."""
    version, policy, name, number, kind, unit, selector, rule, is_shadow, effective_from, effective_until = row
    return PolicyRule(
        version_id=UUID(version),
        policy_id=UUID(policy),
        name=name,
        number=number,
        kind=kind,
        unit_id=None if unit is None else as_uuid(unit),
        selector=_selector(selector),
        content=_content(kind, rule),
        is_shadow=is_shadow,
        effective_from=_instant(effective_from),
        effective_until=_instant(effective_until),
    )


def freeze_rule(row: list[Any]) -> tuple[UUID, FreezeRule]:
    freeze_id, target_kind, target_id, reason = row
    return UUID(freeze_id), FreezeRule(target_kind, target_id, reason)


def approval_rule(row: list[Any]) -> ApprovalRule:
    approval_id, key_id, provider, model, max_nanos, valid_until = row
    return ApprovalRule(
        UUID(approval_id), key_id, provider, model, max_nanos, datetime.fromisoformat(valid_until).astimezone(UTC)
    )


def _selector(data: object) -> Selector | None:
    try:
        return selectors.parse(data)
    except Invalid:
        return None


def _content(kind: str, data: object) -> Content:
    try:
        return contents.parse(kind, data)
    except Invalid as error:
        return Unreadable(error.message)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
