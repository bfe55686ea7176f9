"""What policies hand to other rooms: frozen, free of the database, cheap to read on the hot path."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from apps.policies.contents import Content
from apps.policies.selectors import Selector

Effect: TypeAlias = Literal["allow", "deny", "review"]


@dataclass(frozen=True, slots=True)
class RequestView:
    """All that a policy may look at. Amounts are the worst case of the estimate."""

    provider: str
    model: str  # the catalog's id
    named_model: str  # as the client wrote it
    endpoint: str  # such as chat.completions
    tools: frozenset[str] | None  # hosted tool types; None where they can't be told
    environment: str
    key_id: str
    actor_kind: str
    scope_ids: tuple[UUID, ...]  # the organization and units
    nanos: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One version of a policy, active or in shadow, as a snapshot holds it."""

    version_id: UUID
    policy_id: UUID
    name: str
    number: int
    kind: str
    unit_id: UUID | None  # None: the whole organization
    selector: Selector | None  # None where this release can't read it
    content: Content
    is_shadow: bool
    effective_from: datetime | None
    effective_until: datetime | None


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that did not let a request pass; `reason` is a sentence for the developer who sent it."""

    policy_id: UUID
    version_id: UUID
    number: int
    name: str
    kind: str
    effect: Effect
    reason: str
    is_shadow: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """`fired` are the rules behind the effect, denials first; `shadow` what rules in shadow would have said."""

    effect: Effect
    fired: tuple[Fired, ...]
    shadow: tuple[Fired, ...]
    considered: tuple[PolicyRule, ...]  # those that were asked: in scope and in force


Outcome: TypeAlias = Literal[
    "not_in_scope", "not_yet", "ended", "not_selected", "passed", "review", "denied", "undecidable", "alerts_only"
]


@dataclass(frozen=True, slots=True)
class Considered:
    """What one rule said to a request, and why, in the words of the refusal where it is one."""

    rule: PolicyRule
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class RulesWindow:
    """The rules in force at one instant, and [since, until) for which it is exactly these. None is without end."""

    rules: tuple[PolicyRule, ...]
    since: datetime | None
    until: datetime | None


FreezeTarget: TypeAlias = Literal["organization", "unit", "provider_account", "key"]


@dataclass(frozen=True, slots=True)
class FreezeRule:
    """`target_id` is the id of an organization or unit, the name of a provider, or a key's public id."""

    target_kind: str
    target_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """Lets a key's request for a model pass once, up to an amount, where a policy asks for a review."""

    id: UUID
    key_id: str
    provider: str
    model: str
    max_nanos: int
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """What is odd about a version: refused where it would enter force like that, else told to whoever changed it."""

    code: str
    is_refused: bool
    message: str
