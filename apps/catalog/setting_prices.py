"""An organization's own price of a model: by its contract, or where the catalog knows none."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import Max

from apps.audit.recording import AuditTrail
from apps.catalog.bundles import MAX_PRICE
from apps.catalog.models import CatalogModel, Price, PriceVersion
from apps.catalog.queries import find_model
from apps.catalog.types import USAGE_CLASSES
from apps.orgs.models import Organization
from spendra.kernel.clock import database_now
from spendra.kernel.errors import Invalid
from spendra.kernel.money import format_usd, parse_usd

ADMIN = "admin"
_TRAIL = AuditTrail(room="catalog", kind="price_version")


@transaction.atomic
def set_price(
    *,
    organization: Organization,
    model: str,
    nanos_per_million: Mapping[str, int],
    effective_from: datetime | None = None,
    acting: str,
    reason: str = "",
) -> PriceVersion:
    """The organization pays these prices for the model from `effective_from` (the next request) on, no longer the
    catalog's. What was reserved before is settled at the price that it was reserved at.

    `nanos_per_million`: nano-USD per million units by usage class, of `input` and `output` at least; what is left out
    is billed as the catalog's README says, never too low. A new version, also where there is one: none ever changes. Of
    those that have begun the one set last holds, so one that was set earlier and begins later never does.
    NotFound for a model that the catalog doesn't know, Invalid for prices that are none and for the past. Locks the
    model's row, so that two people get two versions.
    """
    _check(nanos_per_million)
    priced = CatalogModel.objects.select_for_update(no_key=True).get(id=find_model(model).id)
    version = _add_version(organization, priced, effective_from)
    Price.objects.bulk_create(
        Price(version=version, usage_class=name, nanos_per_million=nanos) for name, nanos in nanos_per_million.items()
    )
    after = {
        "model": str(priced),
        "version": version.version,
        "effective_from": version.effective_from,
        "usd_per_million": {name: format_usd(nanos) for name, nanos in nanos_per_million.items()},
    }
    _TRAIL.record("set_price", version, after=after, acting=acting, reason=reason)
    return version


def read_prices(lines: Iterable[str]) -> dict[str, int]:
    """Nano-USD per million units by usage class, of lines such as `input=0.40`, in USD per million. Invalid otherwise;
    an amount is taken as it is written, to the ninth decimal, or not at all."""
    prices: dict[str, int] = {}
    for line in lines:
        name, equals, usd = (part.strip() for part in line.partition("="))
        if not equals:
            raise Invalid(f"{line!r} is no price: write it like input=0.40.", param="prices")
        if name in prices:
            raise Invalid(f"The price of {name} is said twice.", param="prices")
        try:
            prices[name] = parse_usd(usd)
        except ValueError as error:
            raise Invalid(f"The price of {name}: {error}.", param="prices") from error
    return prices


def _add_version(organization: Organization, model: CatalogModel, effective_from: datetime | None) -> PriceVersion:
    newest = PriceVersion.objects.filter(organization=organization, model=model).aggregate(Max("version"))
    now = database_now()
    return PriceVersion.objects.create(
        organization=organization,
        model=model,
        version=(newest["version__max"] or 0) + 1,
        effective_from=now if effective_from is None else _to_come(effective_from, now),
        source=ADMIN,
        source_date=now.date(),
    )


def _to_come(instant: datetime, now: datetime) -> datetime:
    if instant.tzinfo is None:
        raise Invalid("The time from which a price holds needs a time zone.", param="effective_from")
    if instant <= now:
        raise Invalid(
            "That time is over, and what it cost is booked: leave it out for the next request on.",
            param="effective_from",
        )
    return instant


def _check(nanos_per_million: Mapping[str, int]) -> None:
    if unknown := sorted(nanos_per_million.keys() - set(USAGE_CLASSES)):
        raise Invalid(f"There is no usage class {unknown[0]!r}: use {', '.join(USAGE_CLASSES)}.", param="prices")
    if missing := sorted({"input", "output"} - nanos_per_million.keys()):
        raise Invalid(f"Say the price of {missing[0]}, too: without it the model has none.", param="prices")
    for name, nanos in nanos_per_million.items():
        if not 0 <= nanos <= MAX_PRICE:
            raise Invalid(f"The price of {name} must be 0 to {format_usd(MAX_PRICE)} USD a million.", param="prices")
