"""Of the versions effective by an instant the newest holds, an organization's own before the catalog's."""

from datetime import datetime, timedelta
from uuid import UUID

from apps.catalog.pricing import price_in_force
from apps.catalog.types import CatalogEntry, StoredVersion
from spendra.kernel.ids import uuid7
from tests.catalog.entries import NOW, plain, text_of

ALICES = UUID(int=2)
BOBS = UUID(int=3)
DAY = timedelta(days=1)


def version(usd: int, since: datetime, *, number: int = 1, of: UUID | None = None) -> StoredVersion:
    return StoredVersion(uuid7(), of, number, since, text_of(plain(usd)))


def entry(*newest_first: StoredVersion) -> CatalogEntry:
    return CatalogEntry("openai", "toy", None, None, newest_first)


def held(entry: CatalogEntry, at: datetime = NOW, of: UUID = ALICES) -> tuple[int, datetime, datetime | None, bool]:
    price = price_in_force(entry, of, at)
    assert price is not None
    usd = price.prices.tiers["standard"][0].input // 1_000_000_000
    return usd, price.valid_from, price.valid_until, price.is_own


def test_a_known_later_price_ends_the_present_one_and_takes_over() -> None:
    toy = entry(version(2, NOW + DAY, number=2), version(1, NOW - DAY))

    assert held(toy) == (1, NOW - DAY, NOW + DAY, False)
    assert held(toy, NOW + DAY) == (2, NOW + DAY, None, False)


def test_a_newer_version_wins_over_an_older_one_of_a_later_date() -> None:
    toy = entry(version(3, NOW - 2 * DAY, number=3), version(2, NOW - DAY, number=2), version(1, NOW - 9 * DAY))

    assert held(toy) == (3, NOW - 2 * DAY, None, False)


def test_the_organizations_own_price_goes_before_the_catalogs_and_is_nobody_elses() -> None:
    toy = entry(version(5, NOW, number=2), version(7, NOW - DAY, of=ALICES), version(1, NOW - DAY))

    assert held(toy) == (7, NOW - DAY, None, True)
    assert held(toy, of=BOBS) == (5, NOW, None, False)


def test_the_catalogs_price_holds_only_until_an_own_one_begins() -> None:
    toy = entry(version(7, NOW + DAY, of=ALICES), version(5, NOW + 2 * DAY, number=2), version(1, NOW))

    assert held(toy) == (1, NOW, NOW + DAY, False)
    assert held(toy, of=BOBS) == (1, NOW, NOW + 2 * DAY, False)


def test_a_model_without_a_price_by_then_is_unpriced() -> None:
    assert price_in_force(entry(), ALICES, NOW) is None
    assert price_in_force(entry(version(1, NOW + DAY)), ALICES, NOW) is None


def test_a_version_without_plain_prices_is_no_price() -> None:
    toy = entry(StoredVersion(uuid7(), None, 1, NOW, "cached_input 0 5 standard"))

    assert price_in_force(toy, ALICES, NOW) is None
