"""Books with a past: months of settled, expired, voided and corrected requests, before the running one."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from apps.budgets import maintenance
from apps.budgets.verifying import Difference, verify
from apps.orgs.models import Organization
from spendra.kernel.ids import uuid7_at
from tests.budgets import money
from tests.databases import Database
from tests.rollups import booking

Connection = psycopg.Connection[Any]
TABLES = ("ledger_spendevent", "ledger_ledgerentry", "budgets_reservation")


@dataclass
class Past:
    shop: booking.Shop
    months: list[datetime]

    @property
    def connection(self) -> Connection:
        return self.shop.connection

    def reserve(self, *, ahead: timedelta = timedelta()) -> dict[str, Any]:
        """At the moment of the database's clock; the gateway's, which makes the id, may be ahead of it."""
        at = money.now_of(self.connection)
        tokens = money.tokens_of(self.connection, self.shop.organization)
        request = self.shop.request(at, id=an_id(at + ahead)) | tokens
        assert money.verdict(self.connection, request) == "granted"
        return request

    def expire(self) -> dict[str, Any]:
        request = self.reserve()
        money.end(self.connection, money.an_ending(request, "expire", by_hand=True))
        return request

    def settle(self, request: dict[str, Any], kind: str = "settle", **fields: Any) -> str:
        return money.outcome(self.connection, money.an_ending(request, kind, **fields))

    def go_to(self, at: datetime) -> None:
        money.set_clock(self.connection, at)
        money.beat(self.connection)

    def spend_as_usual(self) -> None:
        """One request for each way to end, and two that are settled."""
        for kind in ("settle", "settle", "void", "expire"):
            self.settle(self.reserve(), kind, by_hand=True)
        self.settle(self.expire(), cost=70)
        self.settle(self.expire(), "void")


def an_id(at: datetime) -> str:
    return str(uuid7_at(int(at.timestamp() * 1000)))


def months_ago(count: int) -> datetime:
    now = datetime.now(UTC)
    months = now.year * 12 + now.month - 1 - count
    return datetime(months // 12, months % 12 + 1, 15, 12, tzinfo=UTC)


def make_past(database: Database, count: int = 6) -> Past:
    """Spend as usual in each of the last `count` months, the oldest first, and in this one; all of it delivered."""
    shop = booking.open_shop(database)
    money.make_key(shop.organization, shop.actor)
    past = Past(shop, [months_ago(ago) for ago in range(count, -1, -1)])
    Organization.objects.update(created_at=past.months[0])
    past.go_to(past.months[1])
    maintenance.ensure_partitions()  # from the month before on
    past.go_to(past.months[0])
    shop.budget()
    shop.budget(measure="requests", period_kind="year")
    shop.budget(measure="tokens", unit=shop.team)
    for month in past.months[:-1]:
        past.go_to(month)
        past.spend_as_usual()
    past.go_to(datetime.now(UTC))
    maintenance.ensure_partitions()
    past.spend_as_usual()
    booking.deliver_all()
    return past


def differences() -> list[Difference]:
    """By a run that goes on where the last one stopped, and by one from the first row."""
    return [*verify(), *verify(full=True)]


def partitions(connection: Connection, month: datetime) -> list[str]:
    """The tables of which a partition of that month is still there, attached or not."""
    found = [
        connection.execute("SELECT to_regclass(%s)::text", [f"{table}_{month:%Y_%m}"]).fetchone() for table in TABLES
    ]
    return [table for table, row in zip(TABLES, found, strict=True) if row != (None,)]
