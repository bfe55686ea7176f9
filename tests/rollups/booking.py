"""Entries as settles book them, and the sums that a slow, obvious reader of the ledger finds."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from apps.ledger.models import DayRollup, HourRollup, KeyRollup, LedgerEntry, PeriodRollup
from apps.orgs.models import Organization, Unit
from apps.outbox import delivering
from spendra.consumers import CONSUMERS
from tests.budgets import money
from tests.databases import Database

Rows = dict[tuple[Any, ...], tuple[int, int, int, int]]


@dataclass
class Shop:
    """An organization with a team and an employee in it, who spends."""

    connection: psycopg.Connection[Any]
    organization: Organization
    team: Unit
    actor: Unit
    periods: list[int] = field(default_factory=list)

    @property
    def scopes(self) -> list[Unit]:
        return [self.actor, self.team]

    def budget(self, **fields: Any) -> int:
        budget = money.make_budget(self.organization, 10**15, **fields)
        self.periods.append(money.open_period(self.connection, budget))
        return self.periods[-1]

    def request(self, at: datetime | None = None, **fields: Any) -> dict[str, Any]:
        at = at or money.now_of(self.connection)
        identity = money.identity(self.organization, self.scopes)
        return money.a_request(
            self.organization, {}, self.periods, **{"reserved_at": at.isoformat(), **identity, **fields}
        )

    def spend(self, cost: int = 60, at: datetime | None = None, *, status: str = "final", **fields: Any) -> None:
        """A settle whose reservation a failover lost: books at any time, by any key, in one statement."""
        money.end(self.connection, money.an_ending(self.request(at, **fields), cost=cost, status=status))

    def spend_many(self, count: int, **fields: Any) -> None:
        money.end(self.connection, *(money.an_ending(self.request(**fields), cost=1) for _ in range(count)))

    def expire(self) -> dict[str, Any]:
        """A reservation that the sweeper booked at its amount, 100."""
        request = self.request() | money.tokens_of(self.connection, self.organization)
        assert money.verdict(self.connection, request) == "granted"
        assert money.outcome(self.connection, money.an_ending(request, "expire", by_hand=True)) == "expired"
        return request


def open_shop(database: Database, slug: str = "acme", **fields: Any) -> Shop:
    connection = database.connect()
    money.beat(connection)
    organization = money.make_organization(slug, **fields)
    return Shop(connection, organization, money.make_unit(organization, "Team", "team"), money.make_unit(organization))


def deliver_all(consumers: Sequence[Any] = CONSUMERS) -> int:
    taken = 0
    while (done := delivering.deliver(consumers)).taken:
        assert done.ended[consumers[0].name, "failed"] == 0
        taken += done.taken
    return taken


def kept(organization: Organization) -> dict[str, Rows]:
    """The rollups as they are."""
    found = {}
    for model in (HourRollup, DayRollup, KeyRollup, PeriodRollup):
        keys = model._meta.pk.field_names[1:]
        rows = model.objects.filter(organization_id=organization.id)
        found[model.__name__] = {
            tuple(getattr(row, key) for key in keys): (row.amount_nanos, row.tokens, row.requests, row.entries)
            for row in rows
        }
    return found


def counted(organization: Organization, *, left_out: Sequence[int] = ()) -> dict[str, Rows]:
    """The rollups as they should be, by entries. For organizations that never changed their zone."""
    sums: dict[str, dict[tuple[Any, ...], list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0, 0, 0]))
    zone = ZoneInfo(organization.time_zone)
    for entry in LedgerEntry.objects.filter(organization_id=organization.id):
        bought = (entry.provider, entry.model)
        hour = entry.occurred_at.replace(minute=0, second=0, microsecond=0)
        day = entry.occurred_at.astimezone(zone).date()
        for scope in entry.scope_ids:
            own = entry.key_id if scope == entry.actor_id else ""
            _add(sums["HourRollup"][scope, hour, *bought, own, entry.status], entry)
            _add(sums["DayRollup"][scope, day, *bought, own, entry.status], entry)
            _add(sums["KeyRollup"][scope, day, entry.key_id, entry.status], entry)
        for period in set(entry.period_ids) - set(left_out):
            _add(sums["PeriodRollup"][period, *bought, entry.key_id, entry.status], entry)
    names = ("HourRollup", "DayRollup", "KeyRollup", "PeriodRollup")
    return {name: {key: tuple(row) for key, row in sums[name].items()} for name in names}


def _add(row: list[int], entry: LedgerEntry) -> None:
    requests = 1 if entry.kind == "charge" else -1 if entry.cause == "late_void" else 0
    for place, amount in enumerate((entry.amount_nanos, entry.tokens, requests, 1)):
        row[place] += amount


def totals(organization: Organization) -> Counter[str]:
    """What each table says was spent by the whole organization; each of them must say the same."""
    by_scope = {"HourRollup": HourRollup, "DayRollup": DayRollup, "KeyRollup": KeyRollup}
    return Counter(
        {
            name: sum(row.amount_nanos for row in model.objects.filter(scope_id=organization.id))
            for name, model in by_scope.items()
        }
    )
