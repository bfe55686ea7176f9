"""A bundle adds what the catalog lacks. No price version ever changes, and nothing is loaded by half."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from threading import Barrier

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from apps.audit.models import AuditRecord
from apps.catalog import loading
from apps.catalog.bundles import EVER_SINCE, Bundle, PriceLine
from apps.catalog.models import CatalogModel, ModelAlias, Price, PriceVersion
from apps.catalog.pricing import price_in_force
from apps.catalog.types import CatalogEntry, LoadReport
from apps.orgs.organizations import create_organization
from tests.catalog.entries import NOBODY, bundle, image_bundle, later, lines, model, plain, snapshot
from tests.databases import Database

MARCH = datetime(2027, 3, 1, tzinfo=UTC)
YEAR = timedelta(days=365)


def load(of: Bundle, source: str = "bundle") -> LoadReport:
    return loading.load_bundle(of, source=source, acting="test")


def usd_at(entry: CatalogEntry, at: datetime) -> int:
    price = price_in_force(entry, NOBODY, at)
    assert price is not None
    return price.prices.tiers["standard"][0].input // 1_000_000_000


def toy(database: Database, name: str = "toy") -> CatalogEntry:
    entry = snapshot(database).resolve("openai", name)
    assert entry is not None
    return entry


def price_rows() -> list[tuple[object, ...]]:
    return sorted(Price.objects.values_list("id", "version_id", "usage_class", "nanos_per_million"))


def test_the_bundle_of_the_image_is_there_after_migrating(database: Database) -> None:
    assert CatalogModel.objects.count() == len(image_bundle().models)
    assert set(PriceVersion.objects.values_list("source", "source_date")) == {("bundle", image_bundle().date)}
    assert loading.load_image_bundle() is None


def test_loading_again_changes_nothing(database: Database) -> None:
    before = price_rows()

    report = load(image_bundle())

    assert not report.has_changes
    assert price_rows() == before


def test_a_new_price_is_a_new_version_and_the_old_one_stays(database: Database) -> None:
    first = bundle(model(prices={EVER_SINCE: plain(1)}))
    load(first)
    before = price_rows()

    report = load(later(first, model(prices={EVER_SINCE: plain(2)})))

    assert report.price_versions_added == 1
    assert set(before) < set(price_rows())
    assert [version.version for version in toy(database).versions] == [2, 1]
    assert usd_at(toy(database), MARCH + timedelta(days=29)) == 1
    assert usd_at(toy(database), MARCH + timedelta(days=30)) == 2


def test_a_price_known_ahead_takes_over_on_its_day(database: Database) -> None:
    load(bundle(model(prices={EVER_SINCE: plain(1), MARCH + YEAR: plain(5)})))

    assert usd_at(toy(database), MARCH) == 1
    assert usd_at(toy(database), MARCH + YEAR) == 5


def test_a_price_known_ahead_can_be_withdrawn(database: Database) -> None:
    first = bundle(model(prices={EVER_SINCE: plain(1), MARCH + YEAR: plain(5)}))
    load(first)

    load(later(first, model(prices={EVER_SINCE: plain(1)})))

    assert usd_at(toy(database), MARCH + 2 * YEAR) == 1


def test_a_price_known_ahead_survives_a_change_of_the_present_one(database: Database) -> None:
    first = bundle(model(prices={EVER_SINCE: plain(1), MARCH + YEAR: plain(5)}))
    load(first)

    load(later(first, model(prices={EVER_SINCE: plain(2), MARCH + YEAR: plain(5)})))

    assert usd_at(toy(database), MARCH + timedelta(days=60)) == 2
    assert usd_at(toy(database), MARCH + YEAR) == 5


def test_a_bundle_older_than_a_models_prices_leaves_them_alone(database: Database) -> None:
    load(bundle(model(prices={EVER_SINCE: plain(2)}, max_output_tokens=9)), source="sync")

    report = load(bundle(model(prices={EVER_SINCE: plain(1)}), on=date(2027, 2, 1)))

    assert (report.models_newer_here, report.has_changes) == (1, False)
    assert usd_at(toy(database), MARCH) == 2
    assert toy(database).max_output_tokens == 9


def test_an_organizations_own_price_is_never_touched(database: Database) -> None:
    load(bundle(model()))
    acme = create_organization(slug="acme", name="Acme", acting="test")
    own = PriceVersion.objects.create(
        organization=acme,
        model=CatalogModel.objects.get(name="toy"),
        version=1,
        effective_from=MARCH,
        source="admin",
        source_date=MARCH.date(),
    )
    Price.objects.bulk_create(
        Price(version=own, usage_class=line.usage_class, nanos_per_million=line.nanos_per_million) for line in plain(7)
    )

    load(later(bundle(model()), model(prices={EVER_SINCE: plain(3)})))

    price = price_in_force(toy(database), acme.id, MARCH + YEAR)
    assert price is not None
    assert (price.is_own, price.prices.version_id) == (True, own.id)
    assert usd_at(toy(database), MARCH + YEAR) == 3


def test_limits_and_aliases_follow_the_newest_bundle(database: Database) -> None:
    first = bundle(model(aliases=("toy-a",)), model("other"))
    load(first)

    report = load(later(first, model(aliases=("toy-b",), max_output_tokens=5), model("other", aliases=("toy-a",))))

    assert (report.models_changed, report.aliases_added, report.price_versions_added) == (1, 2, 0)
    assert toy(database, "toy-b").max_output_tokens == 5
    assert toy(database, "toy-a").model == "other"


def test_a_model_that_became_an_alias_is_kept_up_to_date(database: Database) -> None:
    first = bundle(model("toy"), model("toy-2027"))
    load(first)

    load(later(first, model("toy", aliases=("toy-2027",), prices={EVER_SINCE: plain(4)})))

    assert usd_at(toy(database, "toy-2027"), MARCH + YEAR) == 4
    assert not ModelAlias.objects.filter(alias="toy-2027").exists()


def test_a_change_is_audited_and_no_change_is_not(database: Database) -> None:
    records = AuditRecord.objects.filter(action="catalog.load")
    before = records.count()

    load(bundle(model()))
    load(bundle(model()))

    assert records.count() == before + 1
    assert records.latest("id").after["price_versions_added"] == 1


def test_a_load_that_fails_leaves_nothing_behind(database: Database) -> None:
    too_dear = replace(lines({"output": 1, "input": 1})[0], nanos_per_million=10**18 + 1)
    wrong = model("wrong", prices={EVER_SINCE: (too_dear,)})

    with pytest.raises(IntegrityError, match="price_in_range"):
        load(bundle(model("right"), wrong))

    assert not CatalogModel.objects.filter(name__in=["right", "wrong"]).exists()


def test_loads_at_once_add_each_version_once(database: Database) -> None:
    together = Barrier(4)

    def load_with_the_others(_: int) -> LoadReport:
        together.wait(timeout=10)
        try:
            return load(bundle(model(prices={EVER_SINCE: plain(1), MARCH + YEAR: plain(2)})))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(load_with_the_others, range(4)))

    assert sorted(report.price_versions_added for report in reports) == [0, 0, 0, 2]
    assert [version.version for version in toy(database).versions] == [2, 1]


def test_a_thousand_models_take_few_statements(database: Database) -> None:
    many = [
        model(f"toy-{n}", aliases=(f"alias-{n}",), prices={EVER_SINCE: priced(), MARCH: plain(3)}) for n in range(1_000)
    ]

    with CaptureQueriesContext(connection) as statements:
        report = load(bundle(*many))

    assert report.price_versions_added == 2_000
    assert len(statements) < 60


def priced() -> tuple[PriceLine, ...]:
    return lines({"input": 1, "output": 2, "cached_input": 3}, batch={"input": 1, "output": 2, "cached_input": 3})
