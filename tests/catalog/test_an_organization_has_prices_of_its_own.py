from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection

from apps.audit.models import AuditRecord
from apps.catalog.models import CatalogModel, Price, PriceVersion
from apps.catalog.pricing import price_in_force
from apps.catalog.queries import load_snapshot
from apps.catalog.setting_prices import read_prices, set_price
from apps.orgs.models import Organization
from spendra.kernel.errors import Invalid, NotFound
from tests.commands.running import run_json
from tests.databases import Database
from tests.identity.signing_in import signed_in
from tests.orgs.building import make_organization

PRICES = {"input": 400_000_000, "output": 1_600_000_001}


def own(organization: Organization, *, effective_from: datetime | None = None, **prices: int) -> PriceVersion:
    return set_price(
        organization=organization,
        model="gpt-4.1-mini",
        nanos_per_million={**PRICES, **prices},
        effective_from=effective_from,
        acting="test",
    )


def in_force(database: Database, organization: Organization, at: datetime) -> tuple[UUID, datetime | None]:
    """Which version holds at that instant, and until when."""
    entry = load_snapshot(database.connect().cursor()).resolve("openai", "gpt-4.1-mini")
    assert entry is not None
    price = price_in_force(entry, organization.id, at)
    assert price is not None
    return price.prices.version_id, price.valid_until


def test_a_price_is_a_new_version_and_the_one_before_stays(database: Database) -> None:
    acme = make_organization()
    first, second = own(acme), own(acme, cached_input=7)
    assert (first.version, second.version) == (1, 2)
    assert dict(Price.objects.filter(version=first).values_list("usage_class", "nanos_per_million")) == PRICES
    assert first.effective_from < second.effective_from
    assert own(make_organization("globex")).version == 1
    told = AuditRecord.objects.filter(action="catalog.set_price").order_by("id").last()
    assert told is not None
    assert (told.object_id, told.after["usd_per_million"]["output"]) == (
        str(PriceVersion.objects.get(organization__slug="globex").id),
        "1.600000001",
    )


def test_the_model_is_found_by_its_name_or_an_alias(database: Database) -> None:
    acme, mini = make_organization(), CatalogModel.objects.get(provider="openai", name="gpt-4.1-mini")
    for name in ("gpt-4.1-mini", "openai/gpt-4.1-mini", " openai/gpt-4.1-mini-2025-04-14"):
        assert set_price(organization=acme, model=name, nanos_per_million=PRICES, acting="test").model == mini
    for unknown in ("openai/no-such", "gemini/gpt-4.1-mini", "", "/", "a\0b"):
        with pytest.raises(NotFound, match="does not know"):
            set_price(organization=acme, model=unknown, nanos_per_million=PRICES, acting="test")


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["input 0.40"], "write it like input=0.40"),
        (["input=0,40"], "is not an amount in USD"),
        (["input=0.0000000001"], "at most nine decimals"),
        (["input=1", "input=2"], "said twice"),
        (["input=1"], "Say the price of output, too"),
        (["input=1", "output=1", "thought=1"], "no usage class 'thought'"),
        (["input=-1", "output=1"], "The price of input must be 0 to"),
        (["input=1000000000.000000001", "output=1"], "The price of input must be 0 to"),
    ],
)
def test_what_is_no_price_is_refused_and_nothing_is_written(
    database: Database, lines: list[str], sentence: str
) -> None:
    acme = make_organization()
    with pytest.raises(Invalid, match=sentence):
        set_price(organization=acme, model="gpt-4.1-mini", nanos_per_million=read_prices(lines), acting="test")
    assert not PriceVersion.objects.filter(organization=acme).exists()


def test_a_price_begins_now_or_at_a_time_to_come(database: Database) -> None:
    acme, later = make_organization(), datetime.now(UTC) + timedelta(days=30)
    assert own(acme, effective_from=later).effective_from == later
    for instant, sentence in (
        (datetime.now(UTC) - timedelta(seconds=1), "That time is over"),
        (later.replace(tzinfo=None), "needs a time zone"),
    ):
        with pytest.raises(Invalid, match=sentence):
            own(acme, effective_from=instant)
    assert PriceVersion.objects.filter(organization=acme).count() == 1


def test_of_two_prices_that_have_begun_the_one_set_last_holds(database: Database) -> None:
    acme, later = make_organization(), datetime.now(UTC) + timedelta(days=30)
    first = own(acme)
    planned = own(acme, effective_from=later)
    assert in_force(database, acme, later - timedelta(days=1)) == (first.id, later)
    assert in_force(database, acme, later) == (planned.id, None)
    instead = own(acme)
    assert in_force(database, acme, later) == (instead.id, None)


def test_two_people_at_once_make_two_versions(database: Database) -> None:
    acme = make_organization()

    def one(nanos: int) -> int:
        try:
            return own(acme, input=nanos).version
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as people:
        assert sorted(people.map(one, range(1, 25))) == list(range(1, 25))


def test_a_script_sets_it(database: Database) -> None:
    make_organization()
    arguments = ("price_set", "openai/gpt-4.1-mini", "--price", "input=0.40", "--price", "output=1.60")
    made = run_json(*arguments, "--organization", "acme", "--reason", "contract of 2026")
    assert made["nanos_per_million"] == {"input": "400000000", "output": "1600000000"}
    assert (made["model"], made["version"]) == ("openai/gpt-4.1-mini", 1)
    assert AuditRecord.objects.get(action="catalog.set_price").reason == "contract of 2026"
    planned = run_json(*arguments, "--organization", "acme", "--effective-from", "2999-01-01T00:00+01:00")
    assert (planned["version"], planned["effective_from"]) == (2, "2998-12-31T23:00:00+00:00")
    assert run_json(*arguments, "--organization", "none", exit_code=1)["error"]["code"] == "not_found"


def test_an_administrator_sets_it_on_a_page(database: Database) -> None:
    acme, browser = make_organization(), signed_in()
    add = "/admin/catalog/priceversion/add/"
    fields = {"organization": acme.id, "model": "gpt-4.1-mini", "prices": "input=0.40", "reason": "contract"}
    assert "Say the price of output, too" in browser.post(add, fields).content.decode()
    assert (
        "does not know" in browser.post(add, {**fields, "model": "x", "prices": "input=1\noutput=1"}).content.decode()
    )
    begins = {"effective_from_0": "2020-01-01", "effective_from_1": "00:00:00", "prices": "input=1\noutput=1"}
    assert "That time is over" in browser.post(add, {**fields, **begins}).content.decode()
    answer = browser.post(add, {**fields, "prices": "input = 0.40\r\noutput=1.60"}, follow=True)
    assert "has a price of its own for openai/gpt-4.1-mini." in answer.content.decode()
    assert PriceVersion.objects.get(organization=acme).source == "admin"
