"""That a request was settled, and at the right price: worked out again from the answer, and asked of the sandbox."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import httpx
from django.db import connection, transaction

from apps.budgets.models import Reservation
from apps.catalog import pricing, queries
from apps.catalog.models import PriceVersion
from apps.catalog.types import CatalogSnapshot, RequestFacts
from apps.ledger.models import LedgerEntry, SpendEvent
from apps.orgs.models import Organization, Unit
from apps.providers import adapters
from spendra.development.demo.errors import DemoError
from spendra.development.demo.requests import Answered

_PROVIDER = "openai"
_SETTLE_SECONDS = 15.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Proof:
    """One request and what became of it in the ledger."""

    answered: Answered
    entry: LedgerEntry
    event: SpendEvent
    reservation: Reservation
    price: PriceVersion
    scopes: Sequence[str]


def prove(answered: Answered, *, sandbox_url: str | None) -> Proof:
    """DemoError unless there is exactly one entry, `final`, at the price of the catalog and of the provider."""
    entry = _booked(answered)
    if entry.status != "final" or entry.kind != "charge":
        raise DemoError(f"The {answered.title} request was booked as {entry.kind}, {entry.status}, and not as final.")
    _must_equal(
        answered, "its ledger entry says", entry.amount_nanos, "the catalog's price is", _price(answered, entry)
    )
    if sandbox_url is not None:
        charged = _charged(answered, sandbox_url)
        _must_equal(answered, "its ledger entry says", entry.amount_nanos, "the provider charged", charged)
    event = SpendEvent.objects.filter(reservation_id=entry.reservation_id).first()
    if event is None or event.price_version_id is None:
        raise DemoError(f"The {answered.title} request has a ledger entry that names no price.")
    return Proof(
        answered=answered,
        entry=entry,
        event=event,
        reservation=Reservation.objects.get(id=entry.reservation_id),
        price=PriceVersion.objects.select_related("model").get(id=event.price_version_id),
        scopes=_names(entry),
    )


def _booked(answered: Answered) -> LedgerEntry:
    """The settle follows the answer at once, in a batch: it may land a moment later."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    reservation_id = UUID(answered.reservation_id)
    while not (found := list(LedgerEntry.objects.filter(reservation_id=reservation_id))):
        if time.monotonic() > deadline:
            raise DemoError(f"The {answered.title} request has no ledger entry after {_SETTLE_SECONDS:.0f} seconds.")
        time.sleep(_POLL_SECONDS)
    if len(found) != 1:
        raise DemoError(f"The {answered.title} request has {len(found)} ledger entries instead of one.")
    return found[0]


def _price(answered: Answered, entry: LedgerEntry) -> int:
    usage = adapters.read_usage(answered.usage, service_tier=answered.service_tier, facts=RequestFacts())
    found = _catalog().resolve(_PROVIDER, answered.model)
    price = found and pricing.price_in_force(found, entry.organization_id, entry.booked_at)
    if usage is None or not price:
        raise DemoError(f"The catalog cannot price the {answered.title} answer of {answered.model}.")
    return pricing.price_usage(price.prices, usage).nanos


def _catalog() -> CatalogSnapshot:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return queries.load_snapshot(cursor.cursor)


def _charged(answered: Answered, sandbox_url: str) -> int:
    by_request = httpx.get(f"{sandbox_url}/charges", trust_env=False).json()["by_request"]
    charge = by_request.get(answered.upstream_request_id)
    if charge is None:
        raise DemoError(f"The sandbox provider does not know the {answered.title} request.")
    return int(charge["charged_nanos"])


def _must_equal(answered: Answered, one: str, nanos: int, other: str, expected: int) -> None:
    if nanos != expected:
        raise DemoError(f"Of the {answered.title} request {one} {nanos} nano-USD, but {other} {expected}.")


def _names(entry: LedgerEntry) -> list[str]:
    names = {unit.id: str(unit) for unit in Unit.objects.filter(id__in=entry.scope_ids)}
    names |= {own.id: f"organization {own.name}" for own in Organization.objects.filter(id__in=entry.scope_ids)}
    return [names[scope_id] for scope_id in entry.scope_ids]
