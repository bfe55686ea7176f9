"""Rebuilding finds what is wrong, mends it, and changes nothing else, whatever happens beside it."""

import io
import json
import threading
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from apps.audit.models import AuditRecord
from apps.ledger.models import DayRollup, HourRollup, KeyRollup, PeriodRollup
from apps.ledger.rollups_rebuilding import rebuild
from apps.outbox import delivering
from apps.outbox.models import Delivery
from spendra.consumers import CONSUMERS, reported_periods
from tests.budgets import money
from tests.concurrency.callers import in_parallel, meanwhile
from tests.databases import Database
from tests.rollups.booking import Shop, counted, deliver_all, kept, open_shop

ROLLUPS = (HourRollup, DayRollup, KeyRollup, PeriodRollup)


@pytest.fixture
def shop(database: Database) -> Shop:
    shop = open_shop(database, time_zone="Asia/Kathmandu")
    shop.budget()
    shop.budget(unit=shop.team, period_kind="month")
    return shop


def _rebuild(shop: Shop, **limits: date) -> dict[str, int]:
    return rebuild(shop.organization, reported=reported_periods, acting="ann@example.com", **limits)


def _spend_over_days(shop: Shop, days: int = 5) -> None:
    now = money.now_of(shop.connection)
    for number in range(days * 4):
        shop.spend(number, now - timedelta(hours=6 * number), model=f"gpt-{number % 3}")


def test_what_is_right_stays_as_it_is(shop: Shop) -> None:
    _spend_over_days(shop)
    deliver_all()
    before = kept(shop.organization)
    assert _rebuild(shop) == {}
    assert kept(shop.organization) == before == counted(shop.organization)
    assert not AuditRecord.objects.filter(action="ledger.rebuild_rollups").exists()


@pytest.mark.parametrize("rollup", ROLLUPS)
def test_what_was_lost_changed_or_invented_is_mended(shop: Shop, rollup: type[DayRollup]) -> None:
    _spend_over_days(shop)
    deliver_all()
    right = kept(shop.organization)
    first, second, third = rollup.objects.filter(organization_id=shop.organization.id)[:3]
    first.delete()
    rollup.objects.filter(pk=second.pk).update(amount_nanos=10**9, entries=99, requests=0)
    rollup.objects.create(**{field.name: getattr(third, field.name) for field in third._meta.local_concrete_fields
                             if field.name != "pk"} | {"status": "estimated"})  # fmt: skip
    assert _rebuild(shop) == {rollup._meta.db_table: 3}
    assert kept(shop.organization) == right
    [record] = AuditRecord.objects.filter(action="ledger.rebuild_rollups")
    assert record.after["rows_that_were_wrong"] == {rollup._meta.db_table: 3}
    assert _rebuild(shop) == {}


def test_everything_can_be_lost(shop: Shop) -> None:
    _spend_over_days(shop)
    shop.expire()
    deliver_all()
    for rollup in ROLLUPS:
        rollup.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM ledger_localday")
    _rebuild(shop)
    assert kept(shop.organization) == counted(shop.organization)


def test_entries_that_are_still_to_be_delivered_are_left_to_their_relay(shop: Shop) -> None:
    shop.spend(1)
    deliver_all()
    shop.spend(2)
    shop.spend(4)
    failing = [_broken_for(4)]
    delivering.deliver(failing)
    shop.spend(8)
    assert Delivery.objects.count() == 1
    assert _rebuild(shop) == {}
    money.set_clock(shop.connection, money.now_of(shop.connection) + timedelta(hours=1))
    delivering.redeliver(CONSUMERS)
    deliver_all()
    assert kept(shop.organization) == counted(shop.organization)


def _broken_for(amount: int) -> Any:
    rollups = CONSUMERS[-1]

    def consume(messages: Any) -> None:
        if any(message.payload["amount_nanos"] == str(amount) for message in messages):
            raise ValueError
        rollups.consume(messages)

    return type(rollups)(rollups.name, rollups.topics, consume)


def test_a_range_is_rebuilt_and_the_rest_is_not_touched(shop: Shop) -> None:
    _spend_over_days(shop)
    deliver_all()
    right = kept(shop.organization)
    days = sorted({key[1] for key in right["DayRollup"]})
    DayRollup.objects.update(amount_nanos=7)
    _rebuild(shop, since=days[1], until=days[2])
    for key, row in kept(shop.organization)["DayRollup"].items():
        assert (row == right["DayRollup"][key]) == (days[1] <= key[1] <= days[2] or right["DayRollup"][key][0] == 7)
    assert _rebuild(shop, since=days[-1] + timedelta(days=400)) == {}


def _move_across_the_date_line(shop: Shop, days_before: int) -> list[date]:
    """Spend each few hours, first in Kiritimati, then in Pago Pago, where it is the day before yesterday or yesterday:
    a later hour has an earlier date. Returns the dates there are sums of."""
    at = money.now_of(shop.connection)
    for zone, days in (("Pacific/Kiritimati", days_before), ("Pacific/Pago_Pago", 4)):
        shop.organization.time_zone = zone
        shop.organization.save()
        for _ in range(days * 4):
            at += timedelta(hours=6)
            money.set_clock(shop.connection, at)
            shop.spend(1)
        deliver_all()
    return sorted({key[1] for key in kept(shop.organization)["DayRollup"]})


@pytest.mark.parametrize("days_before", [3, 28, 29, 30, 31, 32])
def test_dates_that_came_twice_are_counted_once(shop: Shop, days_before: int) -> None:
    """Wherever the month that a part takes ends."""
    _move_across_the_date_line(shop, days_before)
    right = kept(shop.organization)
    assert _rebuild(shop) == {}
    assert kept(shop.organization) == right
    for rollup in ROLLUPS:
        rollup.objects.all().delete()
    _rebuild(shop)
    assert kept(shop.organization) == right


def test_a_range_that_begins_or_ends_with_a_date_that_came_twice(shop: Shop) -> None:
    days = _move_across_the_date_line(shop, 3)
    right = kept(shop.organization)
    for day in days:
        assert _rebuild(shop, since=day, until=day) == {}
        assert _rebuild(shop, since=day) == {}
        assert _rebuild(shop, until=day) == {}
    assert kept(shop.organization) == right


def test_another_organization_is_not_touched(database: Database, shop: Shop) -> None:
    other = open_shop(database, "other")
    for one in (shop, other):
        one.spend(3)
    deliver_all()
    DayRollup.objects.update(amount_nanos=7)
    _rebuild(shop)
    assert kept(shop.organization) == counted(shop.organization)
    assert {row[0] for row in kept(other.organization)["DayRollup"].values()} == {7}


def test_months_that_were_dropped_keep_their_sums(database: Database, shop: Shop) -> None:
    """Their entries are gone: nothing can be said of them from the ledger any more."""
    now = money.now_of(shop.connection)
    last_month = now.replace(day=1) - timedelta(days=3)
    money.set_clock(shop.connection, last_month)
    shop.organization.created_at = last_month
    shop.organization.save()
    shop.spend(5)
    money.set_clock(shop.connection, now)
    shop.spend(2)
    deliver_all()
    before = kept(shop.organization)
    owner = database.connect()
    owner.execute(f"ALTER TABLE ledger_ledgerentry DETACH PARTITION ledger_ledgerentry_{last_month:%Y_%m}")
    owner.execute(f"DROP TABLE ledger_ledgerentry_{last_month:%Y_%m}")
    DayRollup.objects.filter(day__gte=now.date() - timedelta(days=1)).delete()
    assert _rebuild(shop) == {"ledger_dayrollup": 3}
    assert kept(shop.organization) == before


def test_a_rebuild_amid_traffic_corrects_nothing_that_is_right(database: Database, shop: Shop) -> None:
    """Relays count, settles book, and rebuilds run again and again, two at once."""
    writers = [Shop(database.connect(), shop.organization, shop.team, shop.actor, shop.periods) for _ in range(2)]
    is_over = threading.Event()

    def book(writer: Shop) -> None:
        for number in range(150):
            writer.spend(number, model=f"gpt-{number % 3}")

    def relay() -> None:
        while not is_over.is_set() or delivering.deliver(CONSUMERS, most=10).taken:
            delivering.deliver(CONSUMERS, most=10)
        connection.close()

    def prove() -> list[dict[str, int]]:
        found = []
        while not is_over.is_set():
            found.append(_rebuild(shop))
        connection.close()
        return found

    with meanwhile(relay), meanwhile(relay), meanwhile(prove) as one, meanwhile(prove) as other:
        in_parallel(*(partial(book, writer) for writer in writers))
        is_over.set()
    assert [found for found in one.result() + other.result() if found] == []
    assert len(one.result()) > 2
    assert kept(shop.organization) == counted(shop.organization)


def test_damage_is_mended_once_by_two_rebuilds_at_once_amid_traffic(database: Database, shop: Shop) -> None:
    _spend_over_days(shop)
    deliver_all()
    for rollup in ROLLUPS:
        rollup.objects.update(amount_nanos=1, requests=5)
    shop.spend_many(50)

    def relay() -> None:
        while delivering.deliver(CONSUMERS, most=3).taken:
            pass
        connection.close()

    def mend() -> None:
        _rebuild(shop)
        connection.close()

    in_parallel(relay, mend, mend)
    deliver_all()
    assert kept(shop.organization) == counted(shop.organization)


def test_the_command_says_what_was_wrong(shop: Shop) -> None:
    shop.spend(1)
    deliver_all()
    HourRollup.objects.update(tokens=0)
    today = datetime.now(UTC).date()
    for expected in ({"ledger_hourrollup": 3}, {}):
        out = io.StringIO()
        call_command(
            "rollups_rebuild", "--organization", "acme", "--from", str(today - timedelta(days=2)), "--to",
            str(today + timedelta(days=2)), "--json", stdout=out,
        )  # fmt: skip
        assert json.loads(out.getvalue()) == {"organization": "acme", "rows_that_were_wrong": expected}
    out = io.StringIO()
    call_command("rollups_rebuild", "--organization", "acme", stdout=out)
    assert out.getvalue() == "Every rollup was right: nothing is changed.\n"
