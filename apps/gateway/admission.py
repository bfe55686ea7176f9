"""May this request spend? From a key and a parsed request to money reserved in Postgres, or a refusal that says why."""

import hmac
import logging
import time
from collections import Counter
from dataclasses import dataclass, field

from apps.budgets.types import ReservationRequest, Verdict
from apps.catalog import estimating
from apps.catalog.pricing import worst_case_nanos
from apps.gateway import refusals
from apps.gateway.booking import Booking
from apps.gateway.counting import ExactCounter
from apps.gateway.parsing import ChatRequest
from apps.gateway.routing import Route, Window, check_key, find_route
from apps.gateway.rules import CatalogRules, KeyRule, OrganizationRules
from apps.gateway.rules_loading import EVERYBODY
from apps.gateway.rules_store import RulesStore
from apps.gateway.seeding import Seeder
from apps.gateway.windows import PeriodBook, RulesMoved
from apps.keys.format import parse, secret_hash
from spendra.kernel.errors import Busy, KeyRejected, Refused
from spendra.kernel.ids import uuid7

log = logging.getLogger(__name__)

# docs/decisions/0005-how-long-a-request-follows-its-rules.md
MOVING_RULES_SECONDS = 5
SAME_RULES_BEFORE_GIVING_UP = 3
SEEDINGS_BEFORE_GIVING_UP = 3
IN_FLIGHT_PATIENCE_SECONDS = 0.1


# A key with the rules it stands in.
Known = tuple[OrganizationRules, CatalogRules, KeyRule]


@dataclass(frozen=True, slots=True, repr=False)
class Caller:
    """Who asks, before anything is believed. Without a repr: `presented` holds a secret."""

    presented: str
    address: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """The worst case that is reserved: what the input and the output of one request can come to."""

    input_tokens: int
    output_tokens: int  # a choice
    tokens: int  # of all choices, and the input
    nanos: int
    is_default_output: bool  # the output limit is ours: the request sets none


@dataclass(frozen=True, slots=True)
class Admitted:
    route: Route
    estimate: Estimate
    reservation: ReservationRequest


class Admission:
    def __init__(
        self,
        store: RulesStore,
        periods: PeriodBook,
        seeder: Seeder,
        booking: Booking,
        *,
        process_id: str,
        lifetime_seconds: int,
    ) -> None:
        self._store = store
        self._periods = periods
        self._seeder = seeder
        self._booking = booking
        self._counter = ExactCounter()
        self._process_id = process_id
        self._lifetime_seconds = lifetime_seconds

    async def authenticate(self, caller: Caller) -> Known:
        """The key and its rules. KeyRejected or OrganizationSuspended, confirmed by Postgres before they are raised."""
        key_id, secret = parse(caller.presented)
        patience = Patience()
        while True:
            found = await self._store.find(key_id, caller.address)
            if found is None:
                raise KeyRejected("This key is unknown here. Check that it belongs to this installation.")
            rules, catalog, key = found
            try:
                if not hmac.compare_digest(secret_hash(secret), key.secret_sha256):
                    raise KeyRejected("This key is unknown here. Check that it belongs to this installation.")
                check_key(rules, key, self._store.now())
            except Refused:
                if await self._store.are_current(rules, catalog):
                    raise
                patience.spend(rules, catalog)
                await self._store.refresh(rules.id)
            else:
                return found

    async def authenticate_now(self, caller: Caller) -> Known:
        """As `authenticate`, for an answer that no reserve confirms: the rules are in force at this moment."""
        patience = Patience()
        while True:
            rules, catalog, key = await self.authenticate(caller)
            if await self._store.are_current(rules, catalog):
                return rules, catalog, key
            patience.spend(rules, catalog)
            await self._store.refresh(rules.id)

    async def admit(self, caller: Caller, known: Known, request: ChatRequest, *, provider: str) -> Admitted:
        """Reserves the worst case of the request under every cap that applies, in one round trip. `known` is what
        `authenticate` has just said of the key.

        Raises Refused where a rule or a cap is in the way, Busy where the database can't say just now. Nothing is
        reserved then; where the caller is cancelled in the meantime, what was granted is voided.
        """
        attempt = _Attempt(caller, request, provider, known)
        while True:
            route, estimate = await self._route(attempt)
            try:
                window = await self._periods.window(route, self._store.now())
            except RulesMoved:
                attempt.patience.spend(route.rules, route.catalog)
                await self._store.refresh(route.rules.id)
                continue
            reservation = self._reservation(route, window, estimate, attempt)
            verdict = await self._booking.reserve(reservation)
            if verdict["verdict"] == "granted":
                return Admitted(route, estimate, reservation)
            await self._after(verdict, attempt, route, window, estimate)

    async def _route(self, attempt: "_Attempt") -> tuple[Route, Estimate]:
        """From the snapshot; a refusal that it gives stands only while the snapshot is current."""
        while True:
            rules, catalog, key = attempt.known or await self.authenticate(attempt.caller)
            attempt.known = None
            try:
                route = find_route(
                    rules, catalog, key, provider=attempt.provider, model=attempt.request.model, at=self._store.now()
                )
                return route, await self._estimate(attempt, route)
            except Refused:
                if await self._store.are_current(rules, catalog):
                    raise
                attempt.patience.spend(rules, catalog)
                await self._store.refresh(rules.id)

    async def _estimate(self, attempt: "_Attempt", route: Route) -> Estimate:
        """ReservationTooLarge where the key allows less a request, ModelUnpriced where nothing bounds the price."""
        limit = route.key.max_reservation_nanos
        while True:
            estimate = estimate_of(route, attempt.request, attempt.exact_input)
            if limit is None or estimate.nanos <= limit:
                return estimate
            if not await self._count_exactly(attempt, route):
                raise refusals.reservation_too_large(estimate, limit)

    def _reservation(self, route: Route, window: Window, estimate: Estimate, attempt: "_Attempt") -> ReservationRequest:
        return {
            "id": str(uuid7()),
            "organization_id": route.organization_id,
            "organization_token": route.rules.token,
            "global_token": route.catalog.token,
            "nanos": estimate.nanos,
            "tokens": estimate.tokens,
            "period_ids": window.period_ids,
            "valid_from": window.valid_from,
            "valid_until": window.valid_until,
            "lifetime_seconds": self._lifetime_seconds,
            "key_id": route.key.key_id,
            "actor_id": route.actor_id,
            "process_id": self._process_id,
            "request_id": attempt.caller.request_id,
            "provider": route.provider,
            "model": route.entry.model,
            "price_version_id": route.price_version_id,
            "scope_ids": route.scope_ids,
        }

    async def _after(
        self, verdict: Verdict, attempt: "_Attempt", route: Route, window: Window, estimate: Estimate
    ) -> None:
        """Returns where it is worth to ask again, raises the refusal otherwise."""
        kind = verdict["verdict"]
        if kind == "stale":
            attempt.patience.spend(route.rules, route.catalog)
            if _is_of(verdict, route):
                # Not the rules, then: it is a period, or the time.
                self._periods.forget(route)
            await self._store.reach(route.rules.id, verdict["organization_token"])
            await self._store.reach(EVERYBODY, verdict["global_token"])
            return
        if kind == "ended":
            raise Busy("this request was given up before the database had answered; try again")
        if verdict["seeding"]:
            attempt.count_seeding()
            await self._seeder.fill(window.period_ids)
            return
        if _may_fit(verdict) and await self._count_exactly(attempt, route):
            return
        if kind == "in_flight" and not attempt.has_waited:
            attempt.has_waited = True
            if await self._booking.wait_for_settle(verdict["period_id"], IN_FLIGHT_PATIENCE_SECONDS):
                return
        raise refusals.from_verdict(verdict, route, window, estimate)

    async def _count_exactly(self, attempt: "_Attempt", route: Route) -> bool:
        """Only when the cheap bound would be refused: the tokens as the model's own tokenizer counts them."""
        if attempt.has_counted:
            return False
        attempt.has_counted = True
        attempt.exact_input = await self._counter.count(attempt.request, route.entry)
        return attempt.exact_input is not None


def _is_of(verdict: Verdict, route: Route) -> bool:
    """Whether the rules that the route was made from were in force at that verdict."""
    return (verdict["organization_token"], verdict["global_token"]) == (route.rules.token, route.catalog.token)


def _may_fit(verdict: Verdict) -> bool:
    """Whether a smaller estimate could pass: not where nothing is left, or where it is requests that are counted."""
    return verdict["measure"] != "requests" and verdict["settled"] < verdict["cap"]


class Patience:
    """How long one request follows its rules: while they move, for a time; rules that failed it and are in force all the
    same, a few times. Postgres was asked before each, so that changes and what follows them go at the same pace."""

    def __init__(self) -> None:
        self._until = time.monotonic() + MOVING_RULES_SECONDS
        self._failed: Counter[tuple[str, str]] = Counter()

    def spend(self, rules: OrganizationRules, catalog: CatalogRules) -> None:
        """Busy where there is none left."""
        tokens = (rules.token, catalog.token)
        self._failed[tokens] += 1
        if self._failed[tokens] > SAME_RULES_BEFORE_GIVING_UP or time.monotonic() > self._until:
            raise Busy("the rules of this organization are changing; try again")


@dataclass(slots=True)
class _Attempt:
    """One request on its way through admission: what was tried already."""

    caller: Caller
    request: ChatRequest
    provider: str
    known: Known | None
    exact_input: int | None = None
    has_counted: bool = False
    has_waited: bool = False
    seedings: int = 0
    patience: Patience = field(default_factory=Patience)

    def count_seeding(self) -> None:
        self.seedings += 1
        if self.seedings > SEEDINGS_BEFORE_GIVING_UP:
            raise Busy("a new budget is still counting what was spent before; try again")


def estimate_of(route: Route, request: ChatRequest, exact_input: int | None) -> Estimate:
    """The worst case of the request on this route. ModelUnpriced where nothing bounds it."""
    facts = request.facts
    bound = estimating.input_bound(request.body, facts, route.entry)
    if exact_input is not None:
        bound = min(bound, exact_input)
    # A prediction is billed beyond every limit, also one of ours: only the model's own maximum bounds it.
    default = None if request.has_prediction else default_output_limit(route, request)
    output = estimating.output_bound(facts, route.entry, default_output_tokens=default)
    nanos = worst_case_nanos(route.prices, facts, input_tokens_bound=bound, output_tokens_bound=output)
    return Estimate(
        input_tokens=bound,
        output_tokens=output,
        tokens=bound + output * facts.n,
        nanos=nanos,
        is_default_output=request.output_limit is None,
    )


def default_output_limit(route: Route, request: ChatRequest) -> int | None:
    """The output limit to write into the request: the key's or organization's default where the client set none."""
    default = route.key.default_output_tokens or route.rules.default_output_tokens
    if request.output_limit is not None or default is None:
        return None
    return min(default, route.entry.max_output_tokens or default)
