from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from apps.orgs.models import Organization, Unit
from apps.policies import contents, drafting, lifecycle, selectors
from apps.policies.models import Policy, PolicyVersion
from apps.policies.types import PolicyRule, RequestView
from tests.orgs.building import ACTING

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
ACME, TEAM, BOT, OTHER_TEAM = (UUID(int=number) for number in range(1, 5))

_REQUEST = RequestView(
    provider="openai",
    model="gpt-4.1",
    named_model="gpt-4.1",
    endpoint="chat.completions",
    tools=frozenset(),
    environment="production",
    key_id="key1",
    actor_kind="agent",
    scope_ids=(ACME, TEAM, BOT),
    nanos=1_000_000_000,
    input_tokens=1000,
    output_tokens=1000,
)


def make_request(**changes: Any) -> RequestView:
    return replace(_REQUEST, **changes)


def make_rule(
    kind: str,
    content: object,
    *,
    selector: object = (),
    unit_id: UUID | None = None,
    name: str = "rule",
    is_shadow: bool = False,
    effective_from: datetime | None = None,
    effective_until: datetime | None = None,
) -> PolicyRule:
    return PolicyRule(
        version_id=UUID(int=100),
        policy_id=UUID(int=101),
        name=name,
        number=1,
        kind=kind,
        unit_id=unit_id,
        selector=selectors.parse(selector or {}),
        content=contents.parse(kind, content),
        is_shadow=is_shadow,
        effective_from=effective_from,
        effective_until=effective_until,
    )


def make_draft(
    organization: Organization,
    name: str = "cheap models",
    *,
    kind: str = "allowlist",
    rule: object = None,
    selector: object = (),
    unit: Unit | None = None,
) -> PolicyVersion:
    return drafting.create_policy(
        organization=organization,
        name=name,
        kind=kind,
        rule={"models": ["openai/gpt-4.1-mini"]} if rule is None else rule,
        selector=selector or {},
        unit=unit,
        acting=ACTING,
    ).version


def make_active(organization: Organization, name: str = "cheap models", **said: Any) -> PolicyVersion:
    return activate(make_draft(organization, name, **said)).version


def activate(version: PolicyVersion, **dates: Any) -> drafting.Changed:
    return lifecycle.activate(version, **seen(version), **dates)


def seen(version: PolicyVersion) -> dict[str, Any]:
    policy = Policy.objects.get(id=version.policy_id)
    return {"organization": policy.organization, "revision": policy.revision, "acting": ACTING}
