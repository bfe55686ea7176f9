"""Every entry is in the sums of its hour, day, key and periods, for each of its scopes, once."""

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from apps.budgets.periods import window
from apps.ledger.models import DayRollup, HourRollup, KeyRollup, LocalDay, PeriodRollup
from apps.ledger.rollups_rebuilding import rebuild
from apps.outbox import delivering
from apps.outbox.models import Delivery, OutboxMessage
from spendra.consumers import CONSUMERS, reported_periods
from spendra.kernel.days import DAY, day_of, first_instant
from tests.budgets import money
from tests.databases import Database
from tests.rollups.booking import Shop, counted, deliver_all, kept, open_shop


@pytest.fixture
def shop(database: Database) -> Shop:
    return open_shop(database, time_zone="Europe/Berlin")


def test_an_entry_is_in_every_sum_it_belongs_to(shop: Shop) -> None:
    shop.budget()
    shop.budget(unit=shop.team, period_kind="month")
    shop.spend(60)
    assert deliver_all() == 1
    assert kept(shop.organization) == counted(shop.organization)
    assert {len(rows) for rows in kept(shop.organization).values()} == {2, 3}
    assert set(PeriodRollup.objects.values_list("period_id", "amount_nanos", "requests")) == {
        (period, 60, 1) for period in shop.periods
    }
    own = HourRollup.objects.get(scope_id=shop.actor.id)
    wide = HourRollup.objects.get(scope_id=shop.team.id)
    assert (own.key_id, wide.key_id) == (f"key-{shop.actor.id}", "")


def test_entries_of_different_models_keys_statuses_and_times_are_told_apart(shop: Shop) -> None:
    shop.budget()
    now = money.now_of(shop.connection)
    other = money.make_unit(shop.organization, "Bob")
    for model in ("gpt-a", "gpt-b"):
        for status in ("final", "estimated"):
            for hours in (0, 1, 30):
                shop.spend(7, now - timedelta(hours=hours), model=model, status=status)
                shop.spend(
                    5, now - timedelta(hours=hours), model=model, status=status,
                    **money.identity(shop.organization, [other, shop.team]),
                )  # fmt: skip
    assert deliver_all() == 24
    assert kept(shop.organization) == counted(shop.organization)
    assert KeyRollup.objects.filter(scope_id=shop.team.id).values("key_id").distinct().count() == 2


def test_batches_add_up(shop: Shop) -> None:
    shop.budget()
    for _ in range(3):
        shop.spend_many(20)
        delivering.deliver(CONSUMERS, most=7)
    deliver_all()
    assert kept(shop.organization) == counted(shop.organization)
    assert OutboxMessage.objects.count() == 0


def test_a_late_settle_changes_the_sums_of_its_charge_and_a_late_void_takes_the_request_back(shop: Shop) -> None:
    shop.budget()
    settled, voided = shop.expire(), shop.expire()
    deliver_all()
    before = kept(shop.organization)
    money.set_clock(shop.connection, money.now_of(shop.connection) + timedelta(days=2))
    assert money.outcome(shop.connection, money.an_ending(settled, cost=30)) == "late"
    assert money.outcome(shop.connection, money.an_ending(voided, "void")) == "late"
    deliver_all()
    after = kept(shop.organization)
    assert after == counted(shop.organization)
    assert {key[1] for key in after["DayRollup"]} == {key[1] for key in before["DayRollup"]}
    day = DayRollup.objects.filter(scope_id=shop.organization.id)
    assert sum(row.amount_nanos for row in day) == 30
    assert sum(row.requests for row in day) == 1
    assert sum(row.entries for row in day) == 4


def test_a_day_is_the_organizations_own(shop: Shop) -> None:
    now = money.now_of(shop.connection)
    evening = datetime(now.year, now.month, 1, 22, 30, tzinfo=UTC) - timedelta(days=2)
    shop.spend(1, evening)
    shop.spend(2, evening + timedelta(hours=2))
    deliver_all()
    assert kept(shop.organization) == counted(shop.organization)
    days = dict(DayRollup.objects.filter(scope_id=shop.organization.id).values_list("day", "amount_nanos"))
    assert sum(days.values()) == 3
    assert evening.date() + timedelta(days=1) in days


def test_a_change_of_zone_leaves_the_days_that_were(shop: Shop) -> None:
    """The charge was counted on its day in Berlin; its correction goes there, and new days follow without overlap."""
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    for days_later, zone in enumerate(("Europe/Berlin", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu")):
        shop.organization.time_zone = zone
        shop.organization.save()
        for hours in (0, 6, 11):
            shop.spend(1, noon + timedelta(days=days_later, hours=hours))
        deliver_all()
    spans = list(LocalDay.objects.filter(organization_id=shop.organization.id).order_by("starts_at"))
    assert all(one.ends_at <= other.starts_at for one, other in itertools.pairwise(spans))
    assert all(one.starts_at < one.ends_at for one in spans)
    before = kept(shop.organization)["DayRollup"]
    shop.spend(1, noon)
    deliver_all()
    after = kept(shop.organization)["DayRollup"]
    assert before.keys() == after.keys()
    [changed] = [key for key in before if key[0] == shop.organization.id and before[key] != after[key]]
    assert changed[1] == noon.date()
    assert sum(row[0] for key, row in after.items() if key[0] == shop.organization.id) == 13


def test_midnight_in_every_kind_of_zone_is_where_budgets_have_it(database: Database) -> None:
    """Clocks that skip midnight, repeat it, or are off by a quarter of an hour."""
    for zone_name in (
        "America/Havana",
        "America/Sao_Paulo",
        "America/Asuncion",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "UTC",
    ):
        zone = ZoneInfo(zone_name)
        at = datetime(2010, 1, 1, tzinfo=UTC)
        while at < datetime(2019, 1, 1, tzinfo=UTC):
            day = day_of(at, zone)
            same = window(period_kind="day", at=at, zone=zone)
            assert (f"D{day}", first_instant(day, zone), first_instant(day + DAY, zone)) == (
                same.label, same.starts_at, same.ends_at,
            )  # fmt: skip
            at += timedelta(hours=11, minutes=30)


def test_limits_of_a_rate_have_no_rollups(shop: Shop) -> None:
    rates = [shop.budget(period_kind=kind, measure="requests") for kind in ("minute", "hour")]
    day = shop.budget(period_kind="day")
    shop.spend(1)
    deliver_all()
    assert set(PeriodRollup.objects.values_list("period_id", flat=True)) == {day}
    assert kept(shop.organization) == counted(shop.organization, left_out=rates)
    assert rebuild(shop.organization, reported=reported_periods, acting="test") == {}


def test_two_organizations_are_apart(database: Database, shop: Shop) -> None:
    other = open_shop(database, "other", time_zone="America/Los_Angeles")
    shop.spend(1)
    other.spend(2)
    deliver_all()
    for one in (shop, other):
        assert kept(one.organization) == counted(one.organization)
    assert set(HourRollup.objects.values_list("organization_id", "amount_nanos")) == {
        (shop.organization.id, 1), (other.organization.id, 2),
    }  # fmt: skip


def test_a_message_without_its_entry_becomes_a_failed_delivery_and_the_others_are_counted(shop: Shop) -> None:
    shop.spend(1)
    shop.spend(2)
    lost = OutboxMessage.objects.first()
    OutboxMessage.objects.filter(id=lost.id).update(
        payload={**lost.payload, "entry_id": "00000000-0000-7000-8000-000000000000"}
    )
    done = delivering.deliver(CONSUMERS)
    assert (done.ended["ledger.rollups", "delivered"], done.ended["ledger.rollups", "failed"]) == (1, 1)
    [failed] = Delivery.objects.all()
    assert (failed.message_id, failed.last_error) == (lost.id, "LookupError: 1 of 1 entries are not in the ledger")
    assert DayRollup.objects.get(scope_id=shop.organization.id).amount_nanos == 2
