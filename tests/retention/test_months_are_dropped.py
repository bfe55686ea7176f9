"""What is older than the retention goes, and the books stay right."""

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from io import StringIO
from typing import Any

import orjson
import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from apps.audit.models import AuditRecord
from apps.budgets import quarantining, retention, tasks
from apps.ledger import rollups_rebuilding
from spendra.consumers import reported_periods
from spendra.kernel.errors import Conflict, Invalid
from spendra.kernel.ids import uuid7
from tests.budgets import money
from tests.databases import Database
from tests.retention.months import TABLES, Past, differences, make_past, partitions
from tests.rollups import booking


@pytest.fixture
def past(database: Database) -> Past:
    return make_past(database)


def apply(months: int = 3) -> dict[str, str]:
    return {f"{done.month:%Y-%m}": done.state for done in retention.apply(months=months, acting="ann@example.com")}


def counters(past: Past) -> list[tuple[int, int]]:
    return [money.counters(past.connection, period) for period in past.shop.periods]


def test_old_months_leave_all_three_tables_and_the_books_stay_right(past: Past) -> None:
    before = counters(past)
    assert differences() == []
    assert apply() == {f"{month:%Y-%m}": "dropped" for month in past.months[:3]}
    assert differences() == []
    assert counters(past) == before
    assert [partitions(past.connection, month) for month in past.months] == [[]] * 3 + [list(TABLES)] * 4
    assert apply() == {}


def test_the_archive_says_what_a_month_amounted_to(past: Past) -> None:
    apply()
    archived = past.connection.execute(
        "SELECT nanos::int, tokens::int, requests, entries FROM budgets_periodarchive WHERE month = %s "
        "AND period_id = %s", (past.months[0].replace(day=1).date(), past.shop.periods[0])).fetchall()  # fmt: skip
    # Two settles, an expiry, an expiry corrected from 100 to 70, an expiry that turned out to be free.
    assert archived == [(60 + 60 + 100 + 70, 6 + 6 + 10 + 6, 4, 7)]


def test_each_step_is_in_the_audit_trail(past: Past) -> None:
    apply(5)
    month = f"{past.months[0]:%Y_%m}"
    records = AuditRecord.objects.filter(actor="ann@example.com").order_by("id")
    assert [(record.action, record.object_id) for record in records] == [
        ("budgets.archive_month", month.replace("_", "-")),
        *(("ledger.drop_partition", f"{table}_{month}") for table in TABLES),
    ]
    assert records[0].after is not None
    assert (records[0].after["entries"], records[0].after["nanos"]) == (7, "290")
    assert [record.before["rows"] for record in records[1:] if record.before] == [3, 7, 6]


def test_nothing_goes_unless_it_is_asked_for(past: Past) -> None:
    assert tasks.apply_retention() == 0
    with pytest.raises(CommandError, match="Everything is kept"):
        call_command("retention_apply", stdout=StringIO())
    assert all(partitions(past.connection, month) == list(TABLES) for month in past.months)


def test_the_worker_drops_by_the_setting(past: Past) -> None:
    with override_settings(RETENTION_MONTHS=4):
        assert tasks.apply_retention() == 2


@pytest.mark.parametrize("months", [2, 0, -1])
def test_the_last_three_months_are_always_kept(past: Past, months: int) -> None:
    with pytest.raises(Invalid, match="At least 3 months"):
        apply(months)


def test_a_dry_run_changes_nothing(past: Past) -> None:
    out = StringIO()
    call_command("retention_apply", "--months", "5", "--dry-run", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"months": [{"month": f"{past.months[0]:%Y-%m}", "state": "due", "why": ""}]}
    assert partitions(past.connection, past.months[0]) == list(TABLES)


def test_the_command_says_what_went(past: Past) -> None:
    out = StringIO()
    call_command("retention_apply", "--months", "5", stdout=out)
    assert out.getvalue() == f"{past.months[0]:%Y-%m}  dropped, 7 entries of 0.00000029 USD\n"


def test_a_month_with_an_open_reservation_is_kept_and_so_is_what_follows(past: Past) -> None:
    now = money.now_of(past.connection)
    past.go_to(past.months[1])
    past.reserve()
    past.go_to(now)
    assert apply() == {f"{past.months[0]:%Y-%m}": "dropped", f"{past.months[1]:%Y-%m}": "kept"}
    [told] = retention.apply(months=3, acting="ann@example.com")
    assert told.why == "1 of its reservations are open"
    assert differences() == []


def test_a_month_of_which_an_ending_is_in_quarantine_is_kept_until_somebody_has_looked(past: Past) -> None:
    now = money.now_of(past.connection)
    past.go_to(past.months[0])
    request = past.expire()
    past.go_to(now)
    booking.deliver_all()
    ending = orjson.dumps(money.an_ending(request, cost=70)).decode()
    asked = [uuid7(), request["id"], past.shop.organization.id, ending]
    past.connection.execute("SELECT budgets_quarantine_v1(%s, %s, %s, %s, 'refused')", asked)
    [told] = retention.apply(months=3, acting="ann@example.com")
    assert (told.state, told.why) == ("kept", "1 endings of its reservations are in quarantine")
    [waiting] = quarantining.waiting()
    quarantining.retry(waiting.id, acting="ann@example.com", reason="mended")
    booking.deliver_all()
    assert set(apply().values()) == {"dropped"}


def test_the_task_tells_the_log_why_a_month_is_kept(past: Past, caplog: pytest.LogCaptureFixture) -> None:
    past.connection.execute("UPDATE budgets_period SET settled = settled + 1 WHERE id = %s", [past.shop.periods[0]])
    with override_settings(RETENTION_MONTHS=3):
        assert tasks.apply_retention() == 0
    assert f"the month {past.months[0]:%Y-%m} is not dropped yet, kept: ledger_verify finds differences" in caplog.text


def test_a_month_whose_entries_the_rollups_still_have_to_read_is_kept(past: Past) -> None:
    now = money.now_of(past.connection)
    past.go_to(past.months[0])
    past.settle(past.reserve())
    past.go_to(now)
    [told] = retention.apply(months=3, acting="ann@example.com")
    assert (told.state, told.why) == ("kept", "facts about its entries are not delivered")
    booking.deliver_all()
    assert set(apply().values()) == {"dropped"}


def test_nothing_is_archived_while_the_books_differ(past: Past) -> None:
    past.connection.execute("UPDATE budgets_period SET settled = settled + 1 WHERE id = %s", [past.shop.periods[0]])
    [told] = retention.apply(months=3, acting="ann@example.com")
    assert (told.state, told.why) == ("kept", "ledger_verify finds differences")
    assert partitions(past.connection, past.months[0]) == list(TABLES)


def test_damage_to_what_is_kept_is_still_found(past: Past) -> None:
    apply()
    past.connection.execute("UPDATE budgets_period SET settled = settled + 1 WHERE id = %s", [past.shop.periods[1]])
    assert {difference.check for difference in differences()} == {"period_settled"}


@pytest.mark.parametrize("statement", ["UPDATE {} SET entries = 0", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.parametrize("table", ["budgets_periodarchive", "ledger_archivedmonth"])
def test_the_archive_refuses_every_change(past: Past, statement: str, table: str) -> None:
    apply(5)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        past.connection.execute(statement.format(table))


@pytest.mark.parametrize("statement", ["UPDATE {} SET model = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
def test_what_is_kept_still_refuses_every_change(past: Past, statement: str) -> None:
    apply()
    for table in ("ledger_ledgerentry", "ledger_spendevent"):
        for name in (table, f"{table}_{past.months[3]:%Y_%m}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                past.connection.execute(statement.format(name))


def set_cap(past: Past, *options: str) -> dict[str, Any]:
    out = StringIO()
    call_command("cap_set", "--organization", past.shop.organization.slug, "--json", *options, stdout=out)
    told: dict[str, Any] = json.loads(out.getvalue())
    return told


def test_a_new_budget_counts_what_is_kept_and_says_since_when(past: Past) -> None:
    everything = ("--amount-usd", "9", "--period", "total")
    assert set_cap(past, *everything, "--actor-kind", "employee")["warnings"] == []
    apply()
    told = set_cap(past, *everything, "--actor-kind", "employee", "--actor-kind", "agent")
    assert told["current"]["settled_nanos"] == str(4 * 290)
    since = past.months[3].replace(day=1)
    assert told["warnings"] == [f"Warning: what was spent before {since:%Y-%m-%d} is archived and does not count."]
    # One that was there before has counted them.
    assert set_cap(past, *everything, "--actor-kind", "employee")["warnings"] == []
    assert set_cap(past, "--amount-usd", "9", "--period", "month")["warnings"] == []
    assert set_cap(past, *everything, "--actor-kind", "agent", "--from-now")["warnings"] == []
    assert differences() == []


def test_a_rebuild_amid_which_a_month_goes_takes_back_what_it_counted(past: Past) -> None:
    before = rollups(past)

    def report(periods: Collection[int]) -> Mapping[int, datetime]:
        apply(5)
        return reported_periods(periods)

    with pytest.raises(Conflict, match="archived a month meanwhile"):
        rollups_rebuilding.rebuild(past.shop.organization, reported=report, acting="ann@example.com")
    assert rollups(past) == before


def rollups(past: Past) -> Any:
    return booking.kept(past.shop.organization)


def test_rollups_of_dropped_months_stay_and_a_rebuild_leaves_them(past: Past) -> None:
    before = rollups(past)
    apply()
    out = StringIO()
    call_command("rollups_rebuild", "--organization", past.shop.organization.slug, "--json", stdout=out)
    assert json.loads(out.getvalue())["rows_that_were_wrong"] == {}
    assert rollups(past) == before
