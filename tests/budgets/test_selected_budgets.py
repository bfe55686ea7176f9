"""A budget with a selector counts the requests that it names; what it can't tell from the past, it counts from now."""

from typing import Any

import pytest

from apps.budgets import capping
from apps.budgets.models import Budget, Period
from apps.keys.models import Key
from apps.orgs.models import Organization, Unit
from spendra.kernel.errors import Invalid, NotFound
from tests.budgets import money
from tests.concurrency.callers import Connection


def cap(acme: Organization, selector: dict[str, Any], **fields: Any) -> Budget:
    given = {"amount": 10_000, "period_kind": "total", "acting": "ann@example.com", **fields}
    return capping.set_cap(organization=acme, selector=selector, **given)


def actor(acme: Organization, name: str, kind: str, environment: str) -> dict[str, Any]:
    unit: Unit = money.make_unit(acme, name, kind)
    Key.objects.create(
        organization=acme, actor=unit, key_id=name, secret_sha256=b"", environment_label=environment
    )  # fmt: skip
    return {"actor_id": str(unit.id), "key_id": name, "scope_ids": [str(unit.id), str(acme.id)]}


@pytest.fixture
def spent(connection: Connection, acme: Organization) -> None:
    """Each request another power of two: a sum tells which ones it counts. Ada's are settled, those of the bot open."""
    ada = actor(acme, "ada", "employee", "production")
    bot = actor(acme, "bot", "agent", "development")
    tokens = money.tokens_of(connection, acme)
    models = (("openai", "gpt-4.1"), ("openai", "gpt-4x1"), ("openrouter", "openai/gpt-4.1"), ("anthropic", "claude"))
    for position, (provider, model) in enumerate(models):
        for who, shift in ((ada, 0), (bot, 4)):
            request = money.a_request(
                acme, tokens, [], nanos=2 ** (position + shift), provider=provider, model=model, **who
            )
            money.reserve(connection, request)
            if who is ada:
                ending = money.an_ending(request, cost=request["nanos"], model=f"{model}-2025-04-14")
                money.end(connection, ending)


@pytest.mark.parametrize(
    ("selector", "settled", "reserved"),
    [
        ({}, 15, 240),
        ({"models": ["openai/gpt-4.1"]}, 1, 16),
        ({"models": ["openai/*"]}, 3, 48),
        ({"models": ["*/gpt-4.1"]}, 1, 16),
        ({"models": ["openrouter/*", "anthropic/claude"]}, 12, 192),
        ({"models": ["*/*"]}, 15, 240),
        ({"models": ["open*/*4.1"]}, 5, 80),
        ({"environments": ["production"]}, 15, 0),
        ({"environments": ["production"], "key_ids": ["bot"]}, 0, 0),
        ({"key_ids": ["bot"]}, 0, 240),
        ({"actor_kinds": ["agent", "employee"], "models": ["anthropic/*"]}, 8, 128),
        ({"tools": ["web_search"]}, 0, 0),
    ],
)
@pytest.mark.usefixtures("spent")
def test_a_new_budget_counts_the_past_that_it_selects(
    acme: Organization, selector: dict[str, Any], settled: int, reserved: int
) -> None:
    cap(acme, selector)
    period = Period.objects.get()
    assert (period.settled, period.reserved, period.is_seeding) == (settled, reserved, False)


def test_the_same_selector_in_another_order_is_the_same_budget(acme: Organization) -> None:
    first = cap(acme, {"models": ["openai/a", "openai/b"], "environments": ["production", "staging"]})
    second = cap(acme, {"environments": ["staging", "production"], "models": ["b", "a"]}, amount=5)
    assert first.id == second.id
    assert Budget.objects.get().amount == 5


def test_another_selector_is_another_budget(acme: Organization) -> None:
    cap(acme, {})
    cap(acme, {"models": ["openai/a"]})
    cap(acme, {"models": ["openai/*"]})
    assert Budget.objects.count() == 3


def test_hosted_tools_are_counted_from_now(acme: Organization) -> None:
    assert cap(acme, {"tools": ["web_search"]}).counts_from_now
    assert not cap(acme, {"models": ["openai/a"]}).counts_from_now


@pytest.mark.parametrize(
    "selector", [{"colour": ["red"]}, {"models": "openai/*"}, {"models": ["a b"]}, {"environments": ["moon"]}, []]
)
def test_what_is_no_selector_is_refused(acme: Organization, selector: Any) -> None:
    with pytest.raises(Invalid):
        cap(acme, selector)
    assert not Budget.objects.exists()


def test_another_organizations_key_is_not_found(acme: Organization) -> None:
    other = money.make_organization("other")
    actor(other, "theirs", "agent", "production")
    with pytest.raises(NotFound):
        cap(acme, {"key_ids": ["theirs"]})
