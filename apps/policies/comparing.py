"""A version beside the other rules of its scope, of those above it and of those below it."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from apps.keys.patterns import matcher
from apps.policies import contents, selectors
from apps.policies.catalog_names import CatalogNames
from apps.policies.contents import Allowlist, PerRequestLimit, ReviewAbove, Written
from apps.policies.models import PolicyKind, PolicyVersion, VersionState
from apps.policies.selectors import Selector, told
from apps.policies.types import Finding
from spendra.kernel.errors import Invalid

_LIMITING = (PolicyKind.PER_REQUEST_LIMIT, PolicyKind.REVIEW)
_COMPARED_KINDS: dict[str, tuple[str, ...]] = {
    PolicyKind.ALLOWLIST: (PolicyKind.ALLOWLIST,),
    PolicyKind.PER_REQUEST_LIMIT: _LIMITING,
    PolicyKind.REVIEW: _LIMITING,
    PolicyKind.ALERT: (),
}

_RELATED_UNITS = """
    WITH RECURSIVE above (id) AS (
        SELECT %(unit)s::uuid UNION SELECT edge.parent_id FROM orgs_unitedge edge JOIN above ON edge.child_id = above.id
    ), below (id) AS (
        SELECT %(unit)s::uuid UNION SELECT edge.child_id FROM orgs_unitedge edge JOIN below ON edge.parent_id = below.id
    )
    SELECT ARRAY(SELECT id FROM above), ARRAY(SELECT id FROM below)
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """What two versions are compared by."""

    name: str
    selector: Selector
    content: Written
    starts: datetime | None
    ends: datetime | None

    @classmethod
    def of(cls, version: PolicyVersion) -> "Rule":
        return cls(
            version.policy.name,
            selectors.parse(version.selector),
            contents.parse(version.policy.kind, version.rule),
            version.effective_from,
            version.effective_until,
        )


def findings(version: PolicyVersion, rule: Rule, catalog: CatalogNames) -> list[Finding]:
    """Which active policies it leaves without effect, which leave it without, and which it contradicts."""
    hides: list[str] = []
    hidden_by: list[str] = []
    contradicted: list[str] = []
    for other, is_wider, is_narrower in _related(version):
        if is_wider and _hides(other, rule):
            hidden_by.append(repr(other.name))
        elif is_narrower and _hides(rule, other):
            hides.append(repr(other.name))
        elif _contradict(rule, other, catalog):
            contradicted.append(repr(other.name))
    return list(_told(hides, hidden_by, contradicted))


def _told(hides: list[str], hidden_by: list[str], contradicted: list[str]) -> Iterator[Finding]:
    if hidden_by:
        yield Finding("hidden", False, f"It decides nothing beside {told(hidden_by)}: what it says, that says already.")
    if hides:
        yield Finding("hides", False, f"Beside it, {told(hides)} decides nothing more.")
    if contradicted:
        yield Finding("contradicts", False, f"Together with {told(contradicted)} it allows no model: all is denied.")


def _related(version: PolicyVersion) -> Iterator[tuple[Rule, bool, bool]]:
    """Active rules, whether their scope holds all of the version's, and whether it lies in it."""
    policy = version.policy
    others = PolicyVersion.objects.filter(
        organization_id=version.organization_id,
        state=VersionState.ACTIVE,
        policy__kind__in=_COMPARED_KINDS[policy.kind],
    ).exclude(policy=policy)
    above, below = _units_around(policy.unit_id)
    if policy.unit_id is not None:
        others = others.filter(Q(policy__unit=None) | Q(policy__unit__in=[*above, *below]))
    for other in others.select_related("policy"):
        unit = other.policy.unit_id
        is_wider = unit is None or unit in above
        is_narrower = policy.unit_id is None or unit in below
        with suppress(Invalid):  # written by a newer release: nothing can be said of it
            yield Rule.of(other), is_wider, is_narrower


def _units_around(unit_id: UUID | None) -> tuple[set[UUID], set[UUID]]:
    """Above it and below it, itself in both."""
    if unit_id is None:
        return set(), set()
    with connection.cursor() as cursor:
        cursor.execute(_RELATED_UNITS, {"unit": unit_id})
        above, below = cursor.fetchone()
    return set(above), set(below)


def _hides(wide: Rule, narrow: Rule) -> bool:
    """Whether `wide` denies or holds back all that `narrow` would, whenever `narrow` is in force."""
    return (
        _covers_time(wide, narrow)
        and covers(wide.selector, narrow.selector)
        and _is_as_strict(wide.content, narrow.content)
    )


def _is_as_strict(wide: Written, narrow: Written) -> bool:
    if isinstance(wide, PerRequestLimit) and isinstance(narrow, PerRequestLimit):
        limits = zip(_limits(wide), _limits(narrow), strict=True)
        return all(mine is None or (other is not None and other <= mine) for other, mine in limits)
    if isinstance(wide, PerRequestLimit) and isinstance(narrow, ReviewAbove):
        above = narrow.above_nanos
        return wide.max_nanos is not None and above is not None and wide.max_nanos <= above
    if isinstance(wide, ReviewAbove) and isinstance(narrow, ReviewAbove):
        return (wide.above_nanos or 0) <= (narrow.above_nanos or 0)
    return isinstance(wide, Allowlist) and wide == narrow


def _limits(limit: PerRequestLimit) -> tuple[int | None, ...]:
    return limit.max_nanos, limit.max_input_tokens, limit.max_output_tokens


def _covers_time(wide: Rule, narrow: Rule) -> bool:
    starts_before = wide.starts is None or (narrow.starts is not None and wide.starts <= narrow.starts)
    return starts_before and (wide.ends is None or (narrow.ends is not None and wide.ends >= narrow.ends))


def covers(wide: Selector, narrow: Selector) -> bool:
    """Every request that `narrow` matches, `wide` matches. A pattern that matches another's text covers it: only a `*`
    matches a `*`."""
    return _all_named(wide.models, narrow.models) and all(
        not mine or (theirs and set(theirs) <= set(mine)) for mine, theirs in _plain_members(wide, narrow)
    )


def _all_named(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    if not wide:
        return True
    return bool(narrow) and all(any(matcher(mine).match(pattern) for mine in wide) for pattern in narrow)


def _contradict(one: Rule, other: Rule, catalog: CatalogNames) -> bool:
    """Two allowlists that meet, and that between them allow none of the models that both are for."""
    if not (isinstance(one.content, Allowlist) and isinstance(other.content, Allowlist)):
        return False
    if one.content.models is None or other.content.models is None or not _meet(one, other):
        return False
    everything = ("*/*",)
    selected = catalog.models(one.selector.models or everything) & catalog.models(other.selector.models or everything)
    allowed = catalog.models(one.content.models) & catalog.models(other.content.models)
    return bool(selected) and not selected & allowed


def _meet(one: Rule, other: Rule) -> bool:
    is_apart = (one.ends and other.starts and one.ends <= other.starts) or (
        other.ends and one.starts and other.ends <= one.starts
    )
    members = _plain_members(one.selector, other.selector)
    return not is_apart and all(not mine or not theirs or set(mine) & set(theirs) for mine, theirs in members)


def _plain_members(one: Selector, other: Selector) -> tuple[tuple[Any, Any], ...]:
    """All but models. Tools are compared as they are written: what is missed is a finding less."""
    return (
        (one.tools, other.tools),
        (one.environments, other.environments),
        (one.key_ids, other.key_ids),
        (one.actor_kinds, other.actor_kinds),
    )
