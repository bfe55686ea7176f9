"""A budget that passes a percentage of its cap becomes one fact, whoever looks, however often."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from django.db import connection, transaction

from apps.budgets.alerting import CONSUMER, TOPIC, note_crossings
from apps.budgets.models import Budget
from apps.orgs.models import UnitEdge
from apps.outbox import delivering
from apps.outbox.models import OutboxMessage
from apps.outbox.types import Message
from apps.policies import lifecycle
from spendra.consumers import CONSUMERS
from spendra.kernel.clock import database_now
from tests.budgets import money
from tests.databases import Database
from tests.policies.building import activate, make_active, make_draft, seen
from tests.rollups.booking import Shop, deliver_all, open_shop

CAP = 1_000


def a_shop(database: Database, **fields: Any) -> tuple[Shop, Budget]:
    shop = open_shop(database, **fields)
    budget = money.make_budget(shop.organization, CAP)
    shop.periods.append(money.open_period(shop.connection, budget))
    return shop, budget


def alert(shop: Shop, *thresholds: int, name: str = "telling", **said: Any) -> Any:
    return make_active(shop.organization, name, kind="alert", rule={"thresholds": list(thresholds)}, **said)


def facts() -> list[dict[str, Any]]:
    return [message.payload for message in OutboxMessage.objects.filter(topic=TOPIC).order_by("id")]


def said() -> list[tuple[int, str, str]]:
    return [(fact["threshold"], fact["cap"], fact["settled"]) for fact in facts()]


def cap_is(budget: Budget, amount: int) -> None:
    Budget.objects.filter(id=budget.id).update(amount=amount)


def test_a_fact_says_which_threshold_of_which_budget(database: Database) -> None:
    shop, budget = a_shop(database)
    version = alert(shop, 50, 80)
    shop.spend(499)
    deliver_all()
    assert facts() == []
    shop.spend(1)
    deliver_all()
    [fact] = facts()
    assert fact == {
        "policy_id": str(version.policy_id),
        "policy": "telling",
        "version": 1,
        "version_id": str(version.id),
        "budget_id": str(budget.id),
        "unit_id": None,
        "measure": "nanos",
        "period_id": shop.periods[0],
        "period": "T",
        "threshold": 50,
        "cap": "1000",
        "settled": "500",
    }
    assert OutboxMessage.objects.get(topic=TOPIC).organization_id == shop.organization.id


def test_each_threshold_is_told_once_a_period(database: Database) -> None:
    shop, _ = a_shop(database)
    alert(shop, 50, 100, 120)
    for _ in range(5):
        shop.spend(220)
        deliver_all()
    assert sorted(said()) == [(50, "1000", "660"), (100, "1000", "1100")]


def test_messages_that_come_again_tell_nothing_again(database: Database) -> None:
    shop, _ = a_shop(database)
    alert(shop, 50)
    shop.spend(600)
    messages = waiting()
    for _ in range(3):
        with transaction.atomic():
            note_crossings(messages)
    assert len(facts()) == 1


def test_workers_that_look_at_once_tell_it_once(database: Database) -> None:
    shop, _ = a_shop(database)
    alert(shop, 10, 20, 30, 40, 50)
    shop.spend(600)
    messages = waiting()

    def look(_: int) -> None:
        try:
            with transaction.atomic():
                note_crossings(messages)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(look, range(12)))
    assert sorted(threshold for threshold, _, _ in said()) == [10, 20, 30, 40, 50]


def waiting() -> list[Message]:
    rows = OutboxMessage.objects.exclude(topic=TOPIC)
    return [Message(row.id, row.organization_id, row.topic, row.payload, row.created_at) for row in rows]


def test_a_transaction_that_is_lost_tells_nothing(database: Database) -> None:
    shop, _ = a_shop(database)
    alert(shop, 50)
    shop.spend(600)
    with transaction.atomic():
        note_crossings(waiting())
        transaction.set_rollback(True)
    assert facts() == []
    deliver_all()
    assert len(facts()) == 1


def test_a_raised_cap_is_crossed_again_and_a_lowered_one_is_not(database: Database) -> None:
    shop, budget = a_shop(database)
    alert(shop, 50)
    shop.spend(600)
    deliver_all()
    cap_is(budget, 2_000)
    shop.spend(100)
    deliver_all()
    assert said() == [(50, "1000", "600")]
    shop.spend(300)
    deliver_all()
    cap_is(budget, 1_500)
    shop.spend(100)
    deliver_all()
    cap_is(budget, 2_000)
    shop.spend(100)
    deliver_all()
    assert said() == [(50, "1000", "600"), (50, "2000", "1000")]


def test_an_override_is_the_cap_while_it_is_in_force(database: Database) -> None:
    shop, budget = a_shop(database)
    alert(shop, 50)
    now = database_now()
    budget.overrides.create(
        organization=shop.organization,
        amount=200,
        starts_at=now - timedelta(minutes=1),
        ends_at=now + timedelta(hours=1),
        author="test",
        reason="A quiet week",
    )
    shop.spend(100)
    deliver_all()
    assert said() == [(50, "200", "100")]


def test_in_shadow_it_is_noted_and_told_once_it_is_active(database: Database) -> None:
    shop, _ = a_shop(database)
    draft = make_draft(shop.organization, "telling", kind="alert", rule={"thresholds": [50]})
    version = lifecycle.to_shadow(draft, **seen(draft)).version
    shop.spend(600)
    deliver_all()
    assert facts() == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT threshold, is_shadow FROM budgets_crossing")
        assert cursor.fetchall() == [(50, True)]
    activate(version)
    shop.spend(1)
    deliver_all()
    assert said() == [(50, "1000", "601")]


def test_drafts_retired_ones_and_those_out_of_their_dates_tell_nothing(database: Database) -> None:
    shop, _ = a_shop(database)
    make_draft(shop.organization, "draft", kind="alert", rule={"thresholds": [50]})
    retired = alert(shop, 50, name="retired")
    lifecycle.retire(retired, **seen(retired))
    later = make_draft(shop.organization, "later", kind="alert", rule={"thresholds": [50]})
    activate(later, effective_from=database_now() + timedelta(days=1))
    shop.spend(600)
    deliver_all()
    assert facts() == []


def test_it_is_about_the_budgets_of_its_scope(database: Database) -> None:
    shop, _ = a_shop(database)
    elsewhere = money.make_unit(shop.organization, "Elsewhere", "team")
    UnitEdge.objects.create(organization=shop.organization, parent=shop.team, child=shop.actor)
    own = money.make_budget(shop.organization, CAP, shop.actor)
    shop.periods.append(money.open_period(shop.connection, own))
    each = money.make_budget(shop.organization, CAP, applies_to_each="employee")
    shop.periods.append(money.open_period(shop.connection, each, shop.actor))
    alert(shop, 50, name="of the team", unit=shop.team)
    alert(shop, 50, name="of others", unit=elsewhere)
    shop.spend(600)
    deliver_all()
    found = {(fact["policy"], fact["budget_id"], fact["unit_id"]) for fact in facts()}
    actor = str(shop.actor.id)
    assert found == {("of the team", str(own.id), actor), ("of the team", str(each.id), actor)}


def test_a_selector_wants_budgets_that_count_nothing_else(database: Database) -> None:
    shop, wide = a_shop(database)
    narrow = money.make_budget(shop.organization, CAP, selector={"models": ["openai/gpt-4.1-mini"]})
    personal = money.make_budget(shop.organization, CAP, shop.actor)
    shop.periods += [money.open_period(shop.connection, budget) for budget in (narrow, personal)]
    alert(shop, 50, name="of models", selector={"models": ["openai/gpt-4.1*"]})
    alert(shop, 50, name="of people", selector={"actor_kinds": ["employee"]})
    alert(shop, 50, name="of all")
    shop.spend(600)
    deliver_all()
    found = {(fact["policy"], fact["budget_id"]) for fact in facts()}
    everything = {("of all", str(budget.id)) for budget in (wide, narrow, personal)}
    assert found == everything | {("of models", str(narrow.id)), ("of people", str(personal.id))}


def test_rates_tell_nothing_and_a_cap_of_nothing_is_crossed_by_anything(database: Database) -> None:
    shop = open_shop(database)
    rate = money.make_budget(shop.organization, 1, measure="requests", period_kind="minute")
    nothing = money.make_budget(shop.organization, 0, hardness="soft")
    shop.periods += [money.open_period(shop.connection, budget) for budget in (rate, nothing)]
    alert(shop, 100)
    shop.spend(0)
    deliver_all()
    assert facts() == []
    shop.spend(1)
    deliver_all()
    assert said() == [(100, "0", "1")]


def test_another_organization_hears_nothing(database: Database) -> None:
    shop, _ = a_shop(database)
    other, _ = a_shop(database, slug="other")
    alert(other, 1)
    shop.spend(600)
    deliver_all()
    assert facts() == []


def test_a_fact_waits_in_the_outbox_for_whoever_will_hear_it(database: Database) -> None:
    shop, _ = a_shop(database)
    alert(shop, 50)
    shop.spend(600)
    deliver_all()
    assert CONSUMER in {consumer.name for consumer in CONSUMERS}
    delivering.deliver(CONSUMERS)
    assert delivering.drop_unheard(CONSUMERS) == 0
    money.set_clock(shop.connection, database_now() + timedelta(days=8))
    assert delivering.drop_unheard(CONSUMERS) == 1
