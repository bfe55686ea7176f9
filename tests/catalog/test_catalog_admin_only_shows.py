"""The admin shows models, aliases and prices, finds them, and changes nothing."""

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

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
        ("priceversion/?q=gpt-4.1-mini", "0.40 / 1.60"),
    ],
)
def test_models_aliases_and_prices_are_listed_and_found(alice: Client, page: str, shown: str) -> None:
    assert shown in alice.get(f"/admin/catalog/{page}").content.decode()


def test_a_model_shows_its_aliases_and_a_version_its_prices(alice: Client) -> None:
    mini = CatalogModel.objects.get(provider="openai", name="gpt-4.1-mini")
    version = PriceVersion.objects.filter(model=mini).latest("version")

    assert "gpt-4.1-mini-2025-04-14" in alice.get(f"/admin/catalog/catalogmodel/{mini.id}/change/").content.decode()
    page = alice.get(f"/admin/catalog/priceversion/{version.id}/change/").content.decode()
    assert "standard: Cached Input, over 0 tokens: 0.10" in page


@pytest.mark.parametrize("table", ["catalogmodel", "modelalias", "priceversion"])
def test_nothing_can_be_added_changed_or_deleted(alice: Client, table: str) -> None:
    mini = CatalogModel.objects.get(provider="openai", name="gpt-4.1-mini")
    objects = {
        "catalogmodel": mini,
        "modelalias": mini.aliases.get(),
        "priceversion": PriceVersion.objects.filter(model=mini).latest("version"),
    }
    this = f"/admin/catalog/{table}/{objects[table].pk}"

    assert alice.get(f"/admin/catalog/{table}/add/").status_code == 403
    assert alice.post(f"{this}/change/", {"name": "other"}).status_code == 403
    assert alice.post(f"{this}/delete/", {"post": "yes"}).status_code == 403
