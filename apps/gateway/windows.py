"""Which periods a route's budgets are in at this moment: remembered, and opened on first use."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import psycopg

from apps.budgets import reserving
from apps.budgets.connecting import HotConnection
from apps.budgets.periods import window
from apps.budgets.types import OpenPeriod, PeriodKey
from apps.gateway.routing import AppliedBudget, Choice, Route, Window, is_in_force
from apps.gateway.rules import OrganizationRules
from spendra.kernel.errors import Busy

BudgetOfUnit = tuple[str, str | None]
KnownPeriod = tuple[int, datetime, datetime]


class RulesMoved(Exception):
    """What the route was made from is not so any more."""


class PeriodBook:
    """Periods never move, so what was learned of one holds until it ends, whatever the rules do."""

    def __init__(self, connection: HotConnection) -> None:
        self._connection = connection
        self._current: dict[BudgetOfUnit, KnownPeriod] = {}

    async def window(self, route: Route, choice: Choice, at: datetime) -> Window:
        """The periods of the chosen budgets of the route that hold `at`. Busy where they can't be opened just now,
        RulesMoved where one of the budgets exists no more."""
        if choice.window is not None and at < choice.window.until:
            return choice.window
        choice.window = window_of(route, at, await self.periods(route.rules, choice.budgets, at))
        return choice.window

    async def periods(
        self, rules: OrganizationRules, budgets: Iterable[AppliedBudget], at: datetime
    ) -> dict[AppliedBudget, KnownPeriod]:
        """The periods that hold `at`, of those budgets that are in force then. Errors as for `window`."""
        known = {applied: self._period(applied, at) for applied in budgets if is_in_force(applied.budget, at)}
        # Kept apart from memory: while some are being opened, other requests forget and replace what is in it.
        periods = {applied: period for applied, period in known.items() if period is not None}
        missing = [applied for applied, period in known.items() if period is None]
        if missing:
            periods |= await self._open(rules, missing, at)
        return {applied: periods[applied] for applied in known}

    def forget(self, route: Route) -> None:
        """After a verdict of `stale`: what memory holds of these periods may be what is wrong."""
        for applied in route.budgets:
            self._current.pop(_name(applied), None)
        route.choices.clear()

    def _period(self, applied: AppliedBudget, at: datetime) -> KnownPeriod | None:
        known = self._current.get(_name(applied))
        return known if known is not None and known[1] <= at < known[2] else None

    async def _open(
        self, rules: OrganizationRules, missing: list[AppliedBudget], at: datetime
    ) -> dict[AppliedBudget, KnownPeriod]:
        try:
            opened = await reserving.open_periods(self._connection, [period_key(rules, one, at) for one in missing])
        except psycopg.Error as error:
            raise Busy("the database does not answer; try again") from error
        found = dict(zip(missing, map(known_period, opened), strict=True))
        self._current.update({_name(applied): period for applied, period in found.items()})
        return found


def window_of(route: Route, at: datetime, periods: Mapping[AppliedBudget, KnownPeriod]) -> Window:
    opens = max([route.valid_from, *(period[1] for period in periods.values())])
    closes = min([route.valid_until, *(period[2] for period in periods.values())])
    for applied in route.budgets:
        # A fixed budget that is not in force yet, or no longer, bounds the decision as well.
        for edge in (applied.budget.fixed_starts_at, applied.budget.fixed_ends_at):
            if edge is not None:
                opens, closes = (max(opens, edge), closes) if edge <= at else (opens, min(closes, edge))
    ids = [period[0] for period in periods.values()]
    return Window(tuple(periods), ids, opens.isoformat(), closes.isoformat(), closes)


def _name(applied: AppliedBudget) -> BudgetOfUnit:
    return str(applied.budget.id), str(applied.unit_id) if applied.unit_id else None


def period_key(rules: OrganizationRules, applied: AppliedBudget, at: datetime) -> PeriodKey:
    """The period that holds `at`, by what it is opened under."""
    bounds = window(
        period_kind=applied.budget.period_kind,
        at=at,
        zone=rules.zone,
        week_starts_on=rules.week_starts_on,
        fiscal_year_starts_month=rules.fiscal_year_starts_month,
        fixed_starts_at=applied.budget.fixed_starts_at,
        fixed_ends_at=applied.budget.fixed_ends_at,
    )
    return PeriodKey(
        budget_id=str(applied.budget.id),
        unit_id=str(applied.unit_id) if applied.unit_id else None,
        organization_id=str(rules.id),
        label=bounds.label,
        starts_at=bounds.starts_at.isoformat(),
        ends_at=bounds.ends_at.isoformat(),
        lock_rank=applied.lock_rank,
        wanted_at=at.isoformat(),
    )


def known_period(opened: OpenPeriod) -> KnownPeriod:
    """RulesMoved where its budget exists no more."""
    if opened["id"] is None:
        raise RulesMoved
    starts_at, ends_at = (datetime.fromisoformat(opened[edge]) for edge in ("starts_at", "ends_at"))
    return opened["id"], starts_at, ends_at
