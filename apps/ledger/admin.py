from django.contrib import admin

from apps.ledger.big_tables import BigTableAdmin, OrganizationFilter
from apps.ledger.models import LedgerEntry, SpendEvent
from spendra.kernel.money import format_usd


@admin.register(LedgerEntry)
class LedgerEntryAdmin(BigTableAdmin):
    list_display = ("booked_at", "organization", "kind", "status", "cause", "amount", "provider", "model", "key_id")
    list_filter = ("kind", "status", OrganizationFilter)
    sought_ids = ("id", "reservation_id", "corrects_id", "actor_id")
    sought_texts = ("key_id", "model", "provider")
    fields = readonly_fields = (
        "id", "organization", "reservation_id", "spend_event_id", "corrects_id", "kind", "status", "cause", "amount",
        "tokens", "provider", "model", "key_id", "actor_id", "scope_ids", "period_ids", "occurred_at", "booked_at",
    )  # fmt: skip
    audited_kind = "ledger_entry"

    @admin.display(description="amount (USD)", ordering="amount_nanos")
    def amount(self, entry: LedgerEntry) -> str:
        return format_usd(entry.amount_nanos)


@admin.register(SpendEvent)
class SpendEventAdmin(BigTableAdmin):
    list_display = ("booked_at", "organization", "provider", "model", "cost", "status")
    list_filter = ("status", OrganizationFilter)
    sought_ids = ("id", "reservation_id", "price_version_id")
    sought_texts = ("model", "provider")
    fields = readonly_fields = (
        "id", "organization", "reservation_id", "provider", "model", "usage", "price_version_id", "cost", "status",
        "occurred_at", "booked_at",
    )  # fmt: skip
    audited_kind = "spend_event"

    @admin.display(description="cost (USD)")
    def cost(self, event: SpendEvent) -> str:
        return format_usd(event.cost_nanos)
