from django.contrib import admin

from apps.budgets import admin_forms
from apps.budgets.admin_forms import shown_amount
from apps.budgets.models import Budget, GatewayProcess, GovernanceVersion, Period, Reservation, SettleQuarantine
from apps.ledger.big_tables import BigTableAdmin, OrganizationFilter
from spendra.kernel.governed_admin import GovernedAdmin, ReadOnlyAdmin
from spendra.kernel.money import format_usd


@admin.register(Budget)
class BudgetAdmin(GovernedAdmin):
    list_display = ("cap", "scope", "applies_to_each", "period_kind", "hardness", "organization", "archived_at")
    list_filter = (
        "hardness", "measure", "period_kind", ("archived_at", admin.EmptyFieldListFilter), "organization",
    )  # fmt: skip
    list_select_related = ("organization", "unit")
    search_fields = ("unit__name", "organization__slug", "id")
    fields = readonly_fields = (
        "id", "organization", "scope", "applies_to_each", "cap", "measure", "period_kind", "hardness",
        "fixed_starts_at", "fixed_ends_at", "counts_from_now", "archived_at", "created_at",
    )  # fmt: skip
    audited_kind = "budget"
    creation = admin_forms.SetCap
    acts = {"change": admin_forms.ChangeCap, "archive": admin_forms.ArchiveCap}

    @admin.display(ordering="amount")
    def cap(self, budget: Budget) -> str:
        return shown_amount(budget.amount, budget.measure)

    @admin.display(ordering="unit__name")
    def scope(self, budget: Budget) -> str:
        return str(budget.unit or "the whole organization")


@admin.register(Period)
class PeriodAdmin(BigTableAdmin):
    list_display = ("label", "organization", "scope", "cap", "settled_amount", "reserved_amount", "ends_at")
    list_filter = ("budget__period_kind", "is_seeding", OrganizationFilter)
    list_select_related = ("budget__unit", "unit")
    sought_ids = ("budget_id", "unit_id", "organization_id")
    sought_texts = ("label",)
    fields = readonly_fields = (
        "id", "organization", "budget", "scope", "label", "starts_at", "ends_at", "cap", "settled_amount",
        "reserved_amount", "seeded", "is_seeding", "lock_rank",
    )  # fmt: skip
    audited_kind = "period"

    @admin.display
    def scope(self, period: Period) -> str:
        return str(period.unit or period.budget.unit or "the whole organization")

    @admin.display
    def cap(self, period: Period) -> str:
        return f"{shown_amount(period.budget.amount, period.budget.measure)} ({period.budget.hardness})"

    @admin.display(description="settled")
    def settled_amount(self, period: Period) -> str:
        return shown_amount(period.settled, period.budget.measure)

    @admin.display(description="reserved")
    def reserved_amount(self, period: Period) -> str:
        return shown_amount(period.reserved, period.budget.measure)


@admin.register(Reservation)
class ReservationAdmin(BigTableAdmin):
    list_display = ("reserved_at", "organization", "state", "amount", "booked", "provider", "model", "key_id")
    list_filter = ("state", "is_late", OrganizationFilter)
    sought_ids = ("id", "actor_id", "process_id", "entry_id")
    sought_texts = ("key_id", "request_id", "model")
    fields = readonly_fields = (
        "id", "organization", "state", "end_cause", "is_late", "amount", "amount_tokens", "booked", "booked_tokens",
        "provider", "model", "price_version_id", "key_id", "actor_id", "process_id", "request_id", "scope_ids",
        "period_ids", "entry_id", "reserved_at", "expires_at", "ended_at",
    )  # fmt: skip
    audited_kind = "reservation"
    acts = {"end": admin_forms.EndReservation}

    @admin.display(description="reserved (USD)")
    def amount(self, reservation: Reservation) -> str:
        return format_usd(reservation.amount_nanos)

    @admin.display(description="booked (USD)")
    def booked(self, reservation: Reservation) -> str:
        return format_usd(reservation.booked_nanos)


@admin.register(SettleQuarantine)
class SettleQuarantineAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "reservation_id", "organization_id", "error")
    search_fields = ("reservation_id", "organization_id", "error")


@admin.register(GatewayProcess)
class GatewayProcessAdmin(ReadOnlyAdmin):
    list_display = ("id", "seen_at")
    ordering = ("-seen_at",)


@admin.register(GovernanceVersion)
class GovernanceVersionAdmin(ReadOnlyAdmin):
    list_display = ("id", "token")
    search_fields = ("id",)
