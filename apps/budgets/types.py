"""What the gateway and the SQL functions of this room hand each other."""

from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

# Ids are strings here: they come from JSON, go into JSON and are never computed with.


class ReservationRequest(TypedDict):
    """What is asked of `budgets_reserve_v3`; goes with every ending too, for a database that lost the reservation."""

    id: str
    organization_id: str
    organization_token: str
    global_token: str
    nanos: int
    tokens: int
    period_ids: list[int]
    valid_from: str
    valid_until: str
    lifetime_seconds: int
    key_id: str
    actor_id: str
    process_id: str
    request_id: str
    provider: str
    model: str
    price_version_id: str | None
    scope_ids: list[str]
    approval_id: NotRequired[str]  # by which it passes a review, once


class Verdict(TypedDict, total=False):
    """`stale` carries the current tokens; `exceeded`, `rate_limited` and `in_flight` the period that refused, with its
    numbers. `rate_limited`: a rate is full until `resets_at`. `approval_used`: another request passed by that approval.
    """

    verdict: Literal["granted", "ended", "stale", "exceeded", "rate_limited", "in_flight", "approval_used"]
    organization_token: str | None
    global_token: str | None
    period_id: int
    measure: str
    cap: int
    settled: int
    reserved: int
    seeding: bool
    resets_at: str


class Ending(TypedDict):
    """How a reservation ended: one element of what `budgets_settle_v2` takes."""

    id: str
    kind: Literal["settle", "void", "expire"]
    entry_id: str
    cost_nanos: int
    tokens: int
    status: Literal["final", "estimated"]
    model: str | None
    usage: dict[str, Any] | None
    price_version_id: str | None
    reservation: ReservationRequest


class Outcome(TypedDict):
    """settled, voided, expired, late, recovered; alive, already_<state>, quarantined or stuck: nothing was booked."""

    id: str
    outcome: str
    booked_nanos: int


@dataclass(frozen=True, slots=True)
class PeriodKey:
    """One window of one budget, not yet known by an id."""

    budget_id: str
    unit_id: str | None
    organization_id: str
    label: str
    starts_at: str
    ends_at: str
    lock_rank: int
    wanted_at: str


class OpenPeriod(TypedDict):
    id: int | None  # None: there is no such budget any more
    starts_at: str
    ends_at: str
    is_seeding: bool


class PeriodState(TypedDict):
    """What `budgets_state_v1` says of a period, as it is at that moment. Amounts are in the budget's measure."""

    id: int
    budget_id: str
    unit_id: str | None
    measure: str
    period_kind: str
    hardness: str
    label: str
    starts_at: str
    ends_at: str
    cap: int  # in force: an override's where there is one
    base: int
    override_ends_at: str | None
    settled: int
    reserved: int
    remaining: int  # negative where more than the cap is spent
    is_seeding: bool
