"""The admin shows models, aliases and prices, finds them, and changes none."""

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.catalog.models import CatalogModel, PriceVersion
from tests.databases import Database


@pytest.fixture
def alice(database: Database) -> Client:
    person = get_user_model().objects.create_superuser("alice@example.com", password="correct horse battery")
    client = Client()
    client.force_login(person)
    return client


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("catalogmodel/?q=gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
        ("modelalias/?q=gpt-4.1-mini-2025", "gpt-4.1-mini-2025-04-14"),
        (
            "priceversion/?q=gpt-4.1-mini",
            '<td class="field-input_price">0.40</td><td class="field-output_price">1.60</td>',
        ),
    ],
)
def test_models_aliases_and_prices_are_listed_and_found(alice: Client, page: str, shown: str) -> None:
    assert shown in alice.get(f"/admin/catalog/{page}").content.decode()


def test_a_model_shows_its_aliases_and_a_version_its_prices(alice: Client) -> None:
    mini = CatalogModel.objects.get(provider="openai", name="gpt-4.1-mini")
    version = PriceVersion.objects.filter(model=mini).latest("version")

    assert "gpt-4.1-mini-2025-04-14" in alice.get(f"/admin/catalog/catalogmodel/{mini.id}/change/").content.decode()
    page = alice.get(f"/admin/catalog/priceversion/{version.id}/change/").content.decode()
    line = '<td>Cached Input</td><td>standard</td><td class="number">0</td><td class="number">0.10</td>'
    assert line in page
    assert "<h2>openai/gpt-4.1-mini v" in page


def test_a_list_is_read_with_few_statements(alice: Client) -> None:
    with CaptureQueriesContext(connection) as statements:
        page = alice.get("/admin/catalog/priceversion/")
    assert len(page.context["cl"].result_list) == 50
    assert len(statements) < 15


@pytest.mark.parametrize("table", ["catalogmodel", "modelalias", "priceversion"])
def test_nothing_can_be_changed_or_deleted(alice: Client, table: str) -> None:
    mini = CatalogModel.objects.get(provider="openai", name="gpt-4.1-mini")
    objects = {
        "catalogmodel": mini,
        "modelalias": mini.aliases.get(),
        "priceversion": PriceVersion.objects.filter(model=mini).latest("version"),
    }
    this = f"/admin/catalog/{table}/{objects[table].pk}"

    assert alice.post(f"{this}/change/", {"name": "other"}).status_code == 403
    assert alice.post(f"{this}/delete/", {"post": "yes"}).status_code == 403


def test_models_and_aliases_come_from_bundles_alone(alice: Client) -> None:
    for table in ("catalogmodel", "modelalias"):
        assert alice.get(f"/admin/catalog/{table}/add/").status_code == 403
