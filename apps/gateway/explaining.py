"""What would happen to a request of a key now, and why: decided by what gateways decide by, in their words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import orjson
from django.conf import settings

from apps.budgets import seeding
from apps.budgets.queries import remaining
from apps.budgets.types import PeriodState, ReservationRequest
from apps.catalog import estimating
from apps.gateway import deciding, refusals
from apps.gateway.admission import reservation_of
from apps.gateway.deciding import Decided
from apps.gateway.estimates import Estimate, estimate_of
from apps.gateway.parsing import ChatRequest, parse_chat_request
from apps.gateway.reviews import referring_to
from apps.gateway.routing import Route, Window, find_route, is_in_force
from apps.gateway.rules import CatalogRules, KeyRule, OrganizationRules
from apps.gateway.rules_loading import RulesLoader
from apps.gateway.trying import try_reserve
from apps.gateway.windows import RulesMoved, known_period, period_key, window_of
from apps.orgs.models import Organization
from apps.policies.queries import pending_review
from spendra.kernel.clock import database_now
from spendra.kernel.errors import Busy, NotFound, Refused, ReviewRequired

_TRIES = 3
_NOBODY = str(UUID(int=0))


@dataclass(frozen=True, slots=True)
class Like:
    """The request to explain, as far as anything depends on it."""

    model: str
    provider: str = "openai"
    max_tokens: int | None = None
    input_tokens: int = 0  # 0: a prompt without a word
    tools: tuple[str, ...] = ()


@dataclass(slots=True)
class Explanation:
    """How far the decision came, and what it rested on. `refusal` is None where the request would pass."""

    rules: OrganizationRules
    key: KeyRule
    like: Like
    at: datetime
    refusal: Refused | None = None
    route: Route | None = None
    estimate: Estimate | None = None
    decided: Decided | None = None
    states: Mapping[int, PeriodState] = field(default_factory=dict)
    window: Window | None = None
    tools: frozenset[str] | None = None  # the hosted ones, as the parser reads them

    def asked(self, measure: str) -> str:
        assert self.estimate is not None
        return str(refusals.asked_of(self.estimate, measure))


def explain(organization: Organization, *, key_id: str, like: Like) -> Explanation:
    """Decides as the next request of the key would be, at the database's time, and reserves nothing. Opens the periods
    of its budgets where nobody has, as that request would. NotFound where the key is not the organization's, Busy
    where the rules move all the time or a cap is locked."""
    loader = RulesLoader(settings.DATABASE_DIRECT_URL)
    try:
        for _ in range(_TRIES):
            rules, catalog = loader.organization(organization.id), loader.catalog()
            key = rules.keys.get(key_id) if rules else None
            if rules is None or key is None:
                raise NotFound(f"There is no key {key_id!r} in {organization}.")
            try:
                return _explained(organization, rules, catalog, key, like)
            except RulesMoved:
                continue
    finally:
        loader.close()
    raise Busy("the rules of this organization are changing; try again")


def _explained(
    organization: Organization, rules: OrganizationRules, catalog: CatalogRules, key: KeyRule, like: Like
) -> Explanation:
    found = Explanation(rules, key, like, database_now())
    try:
        request = _request(like)
        found.tools = request.tools
        found.route = find_route(rules, catalog, key, provider=like.provider, model=like.model, at=found.at)
        if request.facts.has_unbounded_input:
            found.estimate = estimate_of(found.route, request, None)
        else:
            request = _as_long_as(like, found.route, request)
            found.estimate = estimate_of(found.route, request, like.input_tokens or None)
        _decide(organization, found, found.route, found.estimate, request)
    except ReviewRequired as refusal:
        found.refusal = _with_review(organization, found, refusal)
    except Refused as refusal:
        found.refusal = refusal
    return found


def _request(like: Like, *, words: int = 0) -> ChatRequest:
    """A body such as the gateway would read: so nothing is decided here that the parser decides there."""
    body: dict[str, object] = {"model": like.model, "messages": [{"role": "user", "content": "x" * words}]}
    if like.max_tokens is not None:
        body["max_tokens"] = like.max_tokens
    if like.tools:
        body["tools"] = [{"type": tool} for tool in like.tools]
    return parse_chat_request(orjson.dumps(body))


def _as_long_as(like: Like, route: Route, request: ChatRequest) -> ChatRequest:
    """Its bytes must bound what it is said to have."""
    missing = like.input_tokens - estimating.input_bound(request.body, request.facts, route.entry)
    return _request(like, words=missing) if missing > 0 else request


def _decide(
    organization: Organization, found: Explanation, route: Route, estimate: Estimate, request: ChatRequest
) -> None:
    """Raises Refused as the gateway would, RulesMoved where they did."""
    used: set[UUID] = set()
    while True:
        decided = found.decided = deciding.decide(route, estimate, tools=request.tools, at=found.at, used=used)
        window = found.window = _window(found, route, decided)
        states = remaining(organization, window.period_ids)
        found.states = {state["id"]: state for state in states}
        if decided.refusal is not None:
            raise decided.refusal
        verdict = try_reserve(_reservation(decided, window))
        if verdict["verdict"] == "granted":
            return
        if verdict["verdict"] in ("stale", "ended"):
            raise RulesMoved
        if verdict["verdict"] == "approval_used":
            assert decided.approval is not None
            used.add(decided.approval.id)
            continue
        if verdict["seeding"]:
            raise Busy("a new budget is still counting what was spent before; try again")
        raise refusals.from_verdict(verdict, route, window, estimate, found.at)


def _window(found: Explanation, route: Route, decided: Decided) -> Window:
    applied = [one for one in decided.choice.budgets if is_in_force(one.budget, found.at)]
    opened = seeding.open_periods([period_key(found.rules, one, found.at) for one in applied])
    periods = dict(zip(applied, map(known_period, opened), strict=True))
    for period in opened:
        if period["is_seeding"] and period["id"] is not None:
            seeding.seed(period["id"])
    return window_of(route, found.at, periods)


def _reservation(decided: Decided, window: Window) -> ReservationRequest:
    return reservation_of(decided, window, request_id="decision_explain", process_id=_NOBODY, lifetime_seconds=1)


def _with_review(organization: Organization, found: Explanation, refusal: ReviewRequired) -> ReviewRequired:
    """With the review that waits already; the request itself would ask for one where none does."""
    assert found.route is not None
    review = pending_review(
        organization, key_id=found.key.key_id, provider=found.route.provider, model=found.route.entry.model
    )
    return refusal if review is None else referring_to(str(review.id), refusal, public_url=settings.PUBLIC_URL)
