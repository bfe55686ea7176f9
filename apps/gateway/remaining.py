"""GET /v1/spendra/budget: what the key can still spend, by every cap that may apply to it. Agents plan by it."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
import psycopg

from apps.budgets.connecting import HotConnection
from apps.budgets.types import PeriodState
from apps.gateway.admission import Admission
from apps.gateway.attempts import Caller, Patience
from apps.gateway.listing import PROVIDER
from apps.gateway.refusals import scope_name
from apps.gateway.routing import AppliedBudget, budgets_in_scope, check_freezes, scopes_of, view_for
from apps.gateway.rules import KeyRule, OrganizationRules
from apps.gateway.rules_store import RulesStore
from apps.gateway.seeding import Seeder
from apps.gateway.windows import PeriodBook, RulesMoved
from spendra.kernel.errors import Busy

_STATE = "SELECT budgets_state_v1(%s::bigint[])::text"
_WITHOUT_END = frozenset({"total", "fixed"})


class RemainingBudget:
    def __init__(
        self, admission: Admission, store: RulesStore, periods: PeriodBook, connection: HotConnection, seeder: Seeder
    ) -> None:
        self._admission = admission
        self._store = store
        self._periods = periods
        self._connection = connection
        self._seeder = seeder

    async def __call__(self, caller: Caller) -> dict[str, object]:
        """Amounts are text in the cap's measure (nano-USD, requests, tokens), read at one moment; nothing is reserved.

        `remaining` is the cap less what is settled, as in refusals; `available` what a request may reserve at this
        moment. A cap with a `selector` counts only such requests. KeyRejected, Frozen and Busy as for a request.
        """
        patience = Patience()
        while True:
            (rules, catalog, key), at = await self._admission.authenticate_now(caller)
            budgets = _budgets_of(rules, key)
            try:
                periods = await self._periods.periods(rules, budgets, at)
            except RulesMoved:
                patience.spend(rules, catalog)
                await self._store.refresh(rules.id)
                continue
            states = await self._states([period_id for period_id, _, _ in periods.values()])
            return {
                "object": "spendra.budget",
                "organization": rules.slug,
                "key_id": key.key_id,
                "at": _text(at),
                "caps": [
                    told_cap(rules, applied, state) for applied, state in zip(periods, states, strict=True) if state
                ],
            }

    async def _states(self, period_ids: list[int]) -> list[PeriodState | None]:
        states = await self._ask(period_ids)
        if seeding := [state["id"] for state in states if state and state["is_seeding"]]:
            await self._seeder.fill(seeding)
            states = await self._ask(period_ids)
        return states

    async def _ask(self, period_ids: list[int]) -> list[PeriodState | None]:
        try:
            answer = await self._connection.ask(_STATE, (period_ids,))
        except psycopg.Error as error:
            raise Busy("the database does not answer; try again") from error
        states: list[PeriodState | None] = orjson.loads(str(answer))
        return states


def _budgets_of(rules: OrganizationRules, key: KeyRule) -> list[AppliedBudget]:
    """Those that count some request of the key: whatever its model and tools are."""
    units = scopes_of(rules, key)
    check_freezes(rules, key, units, PROVIDER)
    view = view_for(rules, key, units, provider=PROVIDER, model="", named_model="")
    return [
        applied
        for applied in budgets_in_scope(rules, units)
        if (selector := applied.budget.selector) is None or replace(selector, models=(), tools=()).matches(view)
    ]


def told_cap(rules: OrganizationRules, applied: AppliedBudget, state: PeriodState) -> dict[str, Any]:
    selector = applied.budget.selector
    return {
        "rule": state["budget_id"],
        "scope": scope_name(applied, rules),
        "scope_id": str(applied.unit_id or applied.budget.unit_id or rules.id),
        "hardness": state["hardness"],
        "measure": state["measure"],
        "period": state["period_kind"],
        "cap": str(state["cap"]),
        "settled": str(state["settled"]),
        "reserved": str(state["reserved"]),
        "remaining": str(max(0, state["cap"] - state["settled"])),
        "available": str(max(0, state["remaining"])),
        "resets_at": None if state["period_kind"] in _WITHOUT_END else _text(datetime.fromisoformat(state["ends_at"])),
        "override_ends_at": state["override_ends_at"],
        "selector": selector.as_json() if selector else {},
    }


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
