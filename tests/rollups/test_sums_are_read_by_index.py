"""What pages ask of the rollups: right, for one organization alone, and by the few rows that it takes."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.ledger import queries
from apps.ledger.types import Spent
from tests.budgets import money
from tests.databases import Database
from tests.rollups.booking import Shop, deliver_all, open_shop

SCOPES, DAYS = 100, 60
TODAY = date(2026, 6, 30)
SPAN = {"since": TODAY - timedelta(days=29), "until": TODAY}


@pytest.fixture
def shop(database: Database) -> Shop:
    return open_shop(database)


@pytest.fixture
def bob(shop: Shop) -> dict[str, Any]:
    """Another employee of the team."""
    return money.identity(shop.organization, [money.make_unit(shop.organization, "Bob"), shop.team])


def test_sums_of_a_scope(shop: Shop, bob: dict[str, Any]) -> None:
    period = shop.budget()
    now = money.now_of(shop.connection)
    span = {"since": now.date() - timedelta(days=2), "until": now.date()}
    shop.spend(60, now, model="gpt-a")
    shop.spend(30, now, model="gpt-b", status="estimated")
    shop.spend(100, now - timedelta(days=1), model="gpt-b", **bob)
    shop.spend(1, now - timedelta(days=9))
    deliver_all()
    ours, team, ada = shop.organization, shop.team.id, shop.actor
    assert [one.spent for one in queries.spent_by_day(ours, scope_id=team, **span)] == [
        Spent(100, 0, 6, 1), Spent(90, 30, 12, 2),
    ]  # fmt: skip
    hours = queries.spent_by_hour(ours, scope_id=ours.id, since=now - timedelta(hours=30), until=now)
    assert [one.spent.amount_nanos for one in hours] == [100, 90]
    assert hours[0].hour < hours[1].hour <= now
    models = queries.top_models(ours, scope_id=team, **span)
    assert [(one.model, one.spent.amount_nanos) for one in models] == [("gpt-b", 130), ("gpt-a", 60)]
    assert [one.model for one in queries.top_models(ours, scope_id=ada.id, **span)] == ["gpt-a", "gpt-b"]
    keys = queries.top_keys(ours, scope_id=team, **span)
    assert [(one.key_id, one.spent.amount_nanos) for one in keys] == [(bob["key_id"], 100), (f"key-{ada.id}", 90)]
    assert len(queries.top_keys(ours, scope_id=team, **span, limit=1)) == 1
    of_key = queries.models_of_key(ours, bob["key_id"], actor_id=UUID(bob["actor_id"]), **span)
    assert [(one.provider, one.model, one.spent.amount_nanos) for one in of_key] == [("openai", "gpt-b", 100)]
    assert [one.spent.amount_nanos for one in queries.models_of_period(ours, period)] == [130, 60, 1]
    assert [one.spent.amount_nanos for one in queries.keys_of_period(ours, period)] == [100, 91]


def test_another_organizations_scope_has_spent_nothing(database: Database, shop: Shop) -> None:
    period = shop.budget()
    shop.spend(60)
    deliver_all()
    other = open_shop(database, "other").organization
    today = money.now_of(shop.connection)
    span = {"since": today.date() - timedelta(days=1), "until": today.date() + timedelta(days=1)}
    for ask in (queries.spent_by_day, queries.top_models, queries.top_keys):
        assert ask(shop.organization, scope_id=shop.organization.id, **span) != []
        assert ask(other, scope_id=shop.organization.id, **span) == []
    assert queries.models_of_period(other, period) == queries.keys_of_period(other, period) == []


def _fill(shop: Shop) -> None:
    """Sixty days of a hundred scopes, ten keys and five models, without the work of booking it all."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO ledger_dayrollup SELECT %(organization)s, status, 1, 1, 1, 1, md5('scope' || s)::uuid,
                %(today)s::date - d, 'openai', 'gpt-' || m, ''
            FROM generate_series(1, %(scopes)s) s, generate_series(0, %(days)s - 1) d, generate_series(1, 5) m,
                 unnest(ARRAY['final', 'estimated']) status;
            INSERT INTO ledger_keyrollup SELECT %(organization)s, 'final', 1, 1, 1, 1, md5('scope' || s)::uuid,
                %(today)s::date - d, 'key-' || k
            FROM generate_series(1, %(scopes)s) s, generate_series(0, %(days)s - 1) d, generate_series(1, 10) k;
            INSERT INTO ledger_hourrollup SELECT %(organization)s, 'final', 1, 1, 1, 1, md5('scope' || s)::uuid,
                %(today)s::timestamptz - make_interval(hours => h), 'openai', 'gpt', ''
            FROM generate_series(1, %(scopes)s) s, generate_series(0, %(days)s * 24 - 1) h;
            INSERT INTO ledger_periodrollup
            SELECT %(organization)s, 'final', 1, 1, 1, 1, p, 'openai', 'gpt', 'key-' || k
            FROM generate_series(1, 2000) p, generate_series(1, 10) k;
            ANALYZE ledger_dayrollup, ledger_keyrollup, ledger_hourrollup, ledger_periodrollup
            """,
            {"organization": shop.organization.id, "today": TODAY, "scopes": SCOPES, "days": DAYS},
        )


def _rows_read(ask: Callable[[], object], table: str) -> int:
    """How many rows of the table the one statement of `ask` looked at, all of them by the primary key."""
    with CaptureQueriesContext(
        connection,
    ) as said:
        ask()
    [statement] = said.captured_queries
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement['sql']}")
        [(plans,)] = cursor.fetchall()
    plan = json.loads(plans)[0]["Plan"] if isinstance(plans, str) else plans[0]["Plan"]
    while "Plans" in plan and plan.get("Relation Name") != table:
        [plan] = plan["Plans"]
    index = plan.get("Index Name") or plan["Plans"][0]["Index Name"]
    assert index == f"{table}_pkey"
    return int(plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0))


def test_a_question_reads_the_rows_of_its_answer_and_no_others(shop: Shop) -> None:
    _fill(shop)
    ours = shop.organization
    with connection.cursor() as cursor:
        cursor.execute("SELECT md5('scope7')::uuid")
        [(scope,)] = cursor.fetchall()
    month = 30
    assert _rows_read(lambda: queries.top_models(ours, scope_id=scope, **SPAN), "ledger_dayrollup") == month * 10
    assert _rows_read(lambda: queries.spent_by_day(ours, scope_id=scope, **SPAN), "ledger_dayrollup") == month * 10
    assert _rows_read(lambda: queries.spent(ours, scope_id=scope, **SPAN), "ledger_dayrollup") == month * 10
    for ask in (queries.spent_by_provider, queries.spent_by_status):
        assert _rows_read(lambda: ask(ours, scope_id=scope, **SPAN), "ledger_dayrollup") == month * 10  # noqa: B023
    of_unit = lambda: queries.spent_by_unit(ours, unit_ids=[scope, UUID(int=7)], **SPAN)  # noqa: E731
    assert _rows_read(of_unit, "ledger_dayrollup") == month * 10
    assert _rows_read(lambda: queries.top_keys(ours, scope_id=scope, **SPAN), "ledger_keyrollup") == month * 10
    assert _rows_read(lambda: queries.models_of_period(ours, 77), "ledger_periodrollup") == 10
    assert _rows_read(lambda: queries.keys_of_period(ours, 77), "ledger_periodrollup") == 10
    until = money.now_of(shop.connection).replace(year=2026, month=6, day=30, hour=0, minute=0, second=0, microsecond=0)
    hours = {"since": until - timedelta(days=2), "until": until}
    assert _rows_read(lambda: queries.spent_by_hour(ours, scope_id=scope, **hours), "ledger_hourrollup") == 48
