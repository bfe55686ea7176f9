"""May this request spend? From a key and a parsed request to money reserved in Postgres, or a refusal that says why."""

import hmac
from dataclasses import dataclass
from datetime import datetime

from apps.budgets.types import ReservationRequest, Verdict
from apps.gateway import refusals
from apps.gateway.attempts import Attempt, Caller, Known, Patience
from apps.gateway.booking import Booking
from apps.gateway.counting import ExactCounter
from apps.gateway.deciding import Decided
from apps.gateway.estimates import Estimate
from apps.gateway.parsing import ChatRequest
from apps.gateway.reviews import Reviews
from apps.gateway.routing import Route, Window, check_key, find_route
from apps.gateway.rules_loading import EVERYBODY
from apps.gateway.rules_store import RulesStore
from apps.gateway.seeding import Seeder
from apps.gateway.shadows import ShadowCounts
from apps.gateway.windows import PeriodBook, RulesMoved
from apps.keys.format import parse, secret_hash
from spendra.kernel.errors import Busy, KeyRejected, Refused, ReviewRequired
from spendra.kernel.ids import uuid7

IN_FLIGHT_PATIENCE_SECONDS = 0.1


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
        reviews: Reviews,
        shadows: ShadowCounts,
        *,
        process_id: str,
        lifetime_seconds: int,
    ) -> None:
        self._store = store
        self._periods = periods
        self._seeder = seeder
        self._booking = booking
        self._reviews = reviews
        self._shadows = shadows
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
                caller.asked.organization_id, caller.asked.key_id = rules.id, key.key_id
                check_key(rules, key, self._store.now())
            except Refused:
                if await self._store.are_current(rules, catalog):
                    raise
                patience.spend(rules, catalog)
                await self._store.refresh(rules.id)
            else:
                return found

    async def authenticate_now(self, caller: Caller) -> tuple[Known, datetime]:
        """As `authenticate`, for an answer that no reserve confirms: the rules are in force at the instant returned."""
        patience = Patience()
        while True:
            known = await self.authenticate(caller)
            rules, catalog, _ = known
            if await self._store.are_current(rules, catalog):
                return known, self._store.now()
            patience.spend(rules, catalog)
            await self._store.refresh(rules.id)

    async def admit(self, caller: Caller, known: Known, request: ChatRequest, *, provider: str) -> Admitted:
        """Reserves the worst case of the request under every cap that applies, in one round trip. `known` is what
        `authenticate` has just said of the key.

        Raises Refused where a rule or a cap is in the way, Busy where the database can't say just now. Nothing is
        reserved then; where the caller is cancelled in the meantime, what was granted is voided.
        """
        attempt = Attempt(caller, request, provider, known)
        try:
            return await self._admit(attempt)
        except ReviewRequired as refusal:
            assert attempt.decided is not None
            raise await self._reviews.ask(refusal, attempt.decided) from None
        finally:
            caller.asked.decided = attempt.decided
            if attempt.decided is not None:
                self._shadows.count(attempt.decided)

    async def _admit(self, attempt: Attempt) -> Admitted:
        while True:
            decided = await self._decide(attempt)
            route = decided.route
            try:
                window = await self._periods.window(route, decided.choice, self._store.now())
            except RulesMoved:
                attempt.patience.spend(route.rules, route.catalog)
                await self._store.refresh(route.rules.id)
                continue
            reservation = reservation_of(
                decided,
                window,
                request_id=attempt.caller.request_id,
                process_id=self._process_id,
                lifetime_seconds=self._lifetime_seconds,
            )
            verdict = await self._booking.reserve(reservation)
            if verdict["verdict"] == "granted":
                return Admitted(route, decided.estimate, reservation)
            await self._after(verdict, attempt, decided, window)

    async def _decide(self, attempt: Attempt) -> Decided:
        """From the snapshot. What it refuses is decided once more at a time that the database has said, with rules that
        it has said to be in force then: what has ended refuses nobody."""
        confirmed: tuple[str, str] | None = None
        while True:
            known = attempt.known or await self.authenticate(attempt.caller)
            attempt.known = None
            try:
                return await self._ask_rules(attempt, known)
            except Refused:
                rules, catalog, _ = known
                if confirmed == (rules.token, catalog.token):
                    raise
                if await self._store.are_current(rules, catalog):
                    confirmed = (rules.token, catalog.token)
                    attempt.known = known
                else:
                    attempt.patience.spend(rules, catalog)
                    await self._store.refresh(rules.id)

    async def _ask_rules(self, attempt: Attempt, known: Known) -> Decided:
        """Raises Refused as they do. Counts exactly where the cheap bound is refused and less might pass, also by those
        in shadow: they are counted as they would decide."""
        at = self._store.now()
        route = find_route(*known, provider=attempt.provider, model=attempt.request.model, at=at)
        while True:
            decided = attempt.decided = attempt.decide(route, at, exact_input=attempt.exact_input)
            if decided.refusal is None and not (decided.decision.shadow and route.watches_input):
                return decided
            least = attempt.decide(route, at, exact_input=0)
            if _say_the_same(decided, least) or not await self._count_exactly(attempt, route):
                if decided.refusal is None:
                    return decided
                raise decided.refusal

    async def _after(self, verdict: Verdict, attempt: Attempt, decided: Decided, window: Window) -> None:
        """Returns where it is worth to ask again, raises the refusal otherwise."""
        route, kind = decided.route, verdict["verdict"]
        if kind == "stale":
            await self._catch_up(verdict, attempt, route)
            return
        if kind == "ended":
            raise Busy("this request was given up before the database had answered; try again")
        if kind == "approval_used":
            assert decided.approval is not None
            # All of them at once: to try one after the other would take a reserve each.
            of_key = route.rules.approvals_of[route.key.key_id]
            attempt.used_approvals |= {decided.approval.id} | await self._reviews.used(of_key)
            return
        if verdict["seeding"]:
            attempt.count_seeding()
            await self._seeder.fill(window.period_ids)
            return
        if refusals.less_may_fit(verdict) and await self._count_exactly(attempt, route):
            return
        if kind == "in_flight" and not attempt.has_waited:
            attempt.has_waited = True
            if await self._booking.wait_for_settle(verdict["period_id"], IN_FLIGHT_PATIENCE_SECONDS):
                return
        raise refusals.from_verdict(verdict, route, window, decided.estimate, self._store.now())

    async def _catch_up(self, verdict: Verdict, attempt: Attempt, route: Route) -> None:
        attempt.patience.spend(route.rules, route.catalog)
        if _is_of(verdict, route):
            # Not the rules, then: it is a period, or the time.
            self._periods.forget(route)
        await self._store.reach(route.rules.id, verdict["organization_token"])
        await self._store.reach(EVERYBODY, verdict["global_token"])

    async def _count_exactly(self, attempt: Attempt, route: Route) -> bool:
        """Only when the cheap bound would be refused: the tokens as the model's own tokenizer counts them."""
        if attempt.has_counted:
            return False
        attempt.has_counted = True
        attempt.exact_input = await self._counter.count(attempt.request, route.entry)
        return attempt.exact_input is not None


def reservation_of(
    decided: Decided, window: Window, *, request_id: str, process_id: str, lifetime_seconds: int
) -> ReservationRequest:
    """What is asked of reserve for a request that the rules let pass."""
    route, approval = decided.route, decided.approval
    reservation: ReservationRequest = {
        "id": str(uuid7()),
        "organization_id": route.organization_id,
        "organization_token": route.rules.token,
        "global_token": route.catalog.token,
        "nanos": decided.estimate.nanos,
        "tokens": decided.estimate.tokens,
        "period_ids": window.period_ids,
        "valid_from": window.valid_from,
        "valid_until": window.valid_until,
        "lifetime_seconds": lifetime_seconds,
        "key_id": route.key.key_id,
        "actor_id": route.actor_id,
        "process_id": process_id,
        "request_id": request_id,
        "provider": route.provider,
        "model": route.entry.model,
        "price_version_id": route.price_version_id,
        "scope_ids": route.scope_ids,
    }
    if approval is not None:
        reservation["approval_id"] = str(approval.id)
        reservation["valid_until"] = min(window.until, approval.valid_until).isoformat()
    return reservation


def _say_the_same(one: Decided, other: Decided) -> bool:
    """Also what is only observed."""
    if type(one.refusal) is not type(other.refusal):
        return False
    return [fired.version_id for fired in one.decision.shadow] == [fired.version_id for fired in other.decision.shadow]


def _is_of(verdict: Verdict, route: Route) -> bool:
    """Whether the rules that the route was made from were in force at that verdict."""
    return (verdict["organization_token"], verdict["global_token"]) == (route.rules.token, route.catalog.token)
