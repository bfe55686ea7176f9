"""However many rows a list shows, it asks the database the same number of times."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.budgets import capping
from apps.keys import issuing
from apps.orgs import units
from apps.orgs.models import Organization
from spendra.development import demo_data
from tests.budgets import money
from tests.databases import Database


@pytest.fixture
def plain(database: Database) -> psycopg.Connection[Any]:
    plain = database.connect()
    money.beat(plain)
    return plain


@pytest.fixture
def operator(plain: psycopg.Connection[Any]) -> Client:
    seeded = demo_data.seed(acting="command:test")
    browser = Client()
    assert browser.login(username=seeded.sign_in_email, password=seeded.password)
    return browser


def asked_by_each_list(browser: Client) -> dict[str, int]:
    asked = {}
    for model in admin.site._registry:
        url = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(url).status_code == 200, url
        asked[url] = len(queries)
    return asked


def one_more_of_each(plain: psycopg.Connection[Any], number: int) -> None:
    """An organization with units, an edge, a key with a grant, a cap with its period, and a request that is settled."""
    organization = money.make_organization(f"company-{number}")
    made: Callable[..., Any] = units.create_unit
    team = made(organization=organization, kind="team", name="Team", acting="command:test")
    actor = made(organization=organization, kind="agent", name="Agent", parents=[team], acting="command:test")
    key = issuing.issue(organization=organization, actor=actor, grants=["openai/*", "google/*"], acting="command:test")
    capping.set_cap(organization=organization, unit=team, period_kind="day", amount=10**12, acting="command:test")
    spend(plain, organization, {"key_id": key.record.key_id, "actor_id": str(actor.id), "scope_ids": [str(actor.id)]})


def spend(plain: psycopg.Connection[Any], organization: Organization, payer: dict[str, Any]) -> None:
    request = money.a_request(organization, money.tokens_of(plain, organization), [], nanos=10**9, **payer)
    money.reserve(plain, request)
    money.end(plain, money.an_ending(request, cost=5))


def test_no_list_asks_once_a_row(operator: Client, plain: psycopg.Connection[Any]) -> None:
    one_more_of_each(plain, 0)
    asked_by_each_list(operator)
    few = asked_by_each_list(operator)
    for number in range(1, 5):
        one_more_of_each(plain, number)
    assert asked_by_each_list(operator) == few
