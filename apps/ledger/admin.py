from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.catalog.models import PriceVersion
from apps.ledger.models import LedgerEntry, SpendEvent
from apps.orgs.admin_columns import OrganizationColumn, OrganizationFilter, named_scopes
from apps.orgs.models import Unit
from spendra.kernel.admin_links import list_link, row_link
from spendra.kernel.big_table_admin import BigTable
from spendra.kernel.money import align_usd, format_usd


@admin.register(LedgerEntry)
class LedgerEntryAdmin(OrganizationColumn, BigTable):
    list_display = ("booked_at", "amount", "what", "cause", "bought", "key_id", "organization")
    list_filter = ("kind", "status", OrganizationFilter)
    indexed = {"id": ("id",), "reservation_id": ("id",), "organization": ("booked_at", "id")}
    sought = ("id", "reservation_id", "key_id")
    search_help_text = "The whole id of an entry, a reservation or a key."
    fields = readonly_fields = (
        "id", "organization", "kind", "status", "cause", "amount_usd", "tokens", "bought", "actor", "key", "scopes",
        "reservation", "event", "corrects", "period_ids", "occurred_at", "booked_at",
    )  # fmt: skip

    @admin.display(description="entry")
    def what(self, entry: LedgerEntry) -> str:
        return f"{entry.status} {entry.kind}"

    @admin.display(description="amount (USD)")
    def amount(self, entry: LedgerEntry) -> str:
        return align_usd(entry.amount_nanos)

    @admin.display(description="amount")
    def amount_usd(self, entry: LedgerEntry) -> str:
        return f"{format_usd(entry.amount_nanos)} USD"

    @admin.display(description="model")
    def bought(self, entry: LedgerEntry) -> str:
        return f"{entry.provider}/{entry.model}"

    @admin.display
    def actor(self, entry: LedgerEntry) -> str:
        return str(Unit.objects.filter(id=entry.actor_id).first() or entry.actor_id)

    @admin.display
    def key(self, entry: LedgerEntry) -> SafeString:
        return list_link("keys_key", entry.key_id, entry.key_id)

    @admin.display(description="scope set")
    def scopes(self, entry: LedgerEntry) -> str:
        return named_scopes(entry.scope_ids)

    @admin.display
    def reservation(self, entry: LedgerEntry) -> SafeString:
        """All that was booked for the same request; the reservation's own page is in the room above."""
        return list_link("ledger_ledgerentry", entry.reservation_id, entry.reservation_id)

    @admin.display(description="spend event")
    def event(self, entry: LedgerEntry) -> str:
        event = entry.spend_event_id
        return "none" if event is None else row_link("ledger_spendevent", event, event)

    @admin.display
    def corrects(self, entry: LedgerEntry) -> str:
        corrected = entry.corrects_id
        return "none" if corrected is None else row_link("ledger_ledgerentry", corrected, corrected)


@admin.register(SpendEvent)
class SpendEventAdmin(OrganizationColumn, BigTable):
    list_display = ("booked_at", "cost", "status", "bought", "organization", "id")
    list_filter = ("status", OrganizationFilter)
    search_help_text = "The whole id of an event or a reservation."
    fields = readonly_fields = (
        "id", "organization", "bought", "used", "cost_usd", "status", "price_version", "reservation", "occurred_at",
        "booked_at",
    )  # fmt: skip

    def search(self, rows: QuerySet[Any], term: str, *, most: int) -> tuple[QuerySet[Any], bool]:
        """By reservation through the entries: they have an index for it, events need none."""
        found = self.value_of("id", term)
        return rows.filter(id__in=[found, *_events_of(found)] if isinstance(found, UUID) else []), True

    @admin.display(description="cost (USD)")
    def cost(self, event: SpendEvent) -> str:
        return align_usd(event.cost_nanos)

    @admin.display(description="cost")
    def cost_usd(self, event: SpendEvent) -> str:
        return f"{format_usd(event.cost_nanos)} USD"

    @admin.display(description="model")
    def bought(self, event: SpendEvent) -> str:
        return f"{event.provider}/{event.model}"

    @admin.display(description="usage")
    def used(self, event: SpendEvent) -> SafeString:
        rows = format_html_join(
            "", '<tr><th scope="row">{}</th><td class="number">{}</td></tr>', sorted(event.usage.items())
        )
        return format_html('<table class="figures"><tbody>{}</tbody></table>', rows)

    @admin.display
    def price_version(self, event: SpendEvent) -> str:
        """Nothing in the database keeps the version that an event names from going."""
        if event.price_version_id is None:
            return "none"
        version = PriceVersion.objects.select_related("model").filter(id=event.price_version_id).first()
        if version is None:
            return str(event.price_version_id)
        return row_link("catalog_priceversion", version.id, f"{version.model}, version {version.version}")

    @admin.display
    def reservation(self, event: SpendEvent) -> SafeString:
        return list_link("ledger_ledgerentry", event.reservation_id, event.reservation_id)


def _events_of(reservation: UUID) -> list[UUID | None]:
    entries = LedgerEntry.objects.filter(reservation_id=reservation).exclude(spend_event_id=None)
    return list(entries.values_list("spend_event_id", flat=True)[:100])
