from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.budgets import admin_forms
from apps.budgets.admin_governance import GatewayProcessAdmin, GovernanceChangeAdmin, GovernanceVersionAdmin
from apps.budgets.admin_windows import cap_in_words, current_windows, remaining, rule_of, window_cells, window_table
from apps.budgets.models import (
    Budget,
    BudgetOverride,
    GatewayProcess,
    GovernanceChange,
    GovernanceVersion,
    Period,
    Reservation,
    SettleQuarantine,
    amount_in_words,
)
from apps.orgs.admin_columns import OrganizationColumn, OrganizationFilter, named_scopes
from apps.orgs.models import Unit
from spendra.kernel.admin_links import list_link
from spendra.kernel.big_table_admin import BigTable
from spendra.kernel.governed_admin import GovernedAdmin
from spendra.kernel.money import align_usd, format_usd

_MOST_WINDOWS = 50


class CurrentFilter(admin.SimpleListFilter):
    title = "window"
    parameter_name = "window"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("current", "Current")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Period]) -> QuerySet[Period]:
        return current_windows(queryset) if self.value() == "current" else queryset


class InForceFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("in-force", "In force"), ("archived", "Archived")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Budget]) -> QuerySet[Budget]:
        wanted = self.value()
        return queryset if wanted is None else queryset.filter(archived_at__isnull=wanted == "in-force")


class OpenFilter(admin.SimpleListFilter):
    """Only what an index finds: the states of ended ones would be read row by row."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("open", "Open")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Reservation]) -> QuerySet[Reservation]:
        return queryset.filter(state="open") if self.value() == "open" else queryset


@admin.register(Budget)
class BudgetAdmin(GovernedAdmin):
    list_display = ("scope", "cap", "rule", "spent", "held", "left", "organization")
    list_filter = (InForceFilter, "hardness", "period_kind", OrganizationFilter)
    list_select_related = ("organization", "unit")
    search_fields = ("unit__name", "organization__slug", "id")
    search_help_text = "The name of a unit or an organization, or an id."
    fields = readonly_fields = (
        "id", "organization", "scope", "cap", "period_kind", "hardness", "selector", "windows", "overridden",
        "allocated_from", "fixed_starts_at", "fixed_ends_at", "counted", "archived_at", "created_at",
    )  # fmt: skip
    audited_kind = "budget"
    creation = admin_forms.SetCap
    acts = {
        "change": admin_forms.ChangeCap,
        "override": admin_forms.OverrideCap,
        "release": admin_forms.ReleaseCap,
        "archive": admin_forms.ArchiveCap,
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Budget]:
        """With the window in force of each; not those of each-budgets, which may be thousands."""
        windows = Prefetch("period_set", queryset=current_windows(Period.objects.filter(unit=None)), to_attr="current")
        return super().get_queryset(request).prefetch_related(windows, "overrides")

    @admin.display(description="overrides")
    def overridden(self, budget: Budget) -> SafeString:
        return list_link("budgets_budgetoverride", budget.id, f"{len(budget.overrides.all())} so far")

    @admin.display(ordering="unit__name")
    def scope(self, budget: Budget) -> str:
        scope = str(budget.unit or "the whole organization")
        return f"each {budget.applies_to_each} of {scope}" if budget.applies_to_each else scope

    @admin.display(ordering="amount")
    def cap(self, budget: Budget) -> str:
        return cap_in_words(budget)

    @admin.display(ordering="period_kind")
    def rule(self, budget: Budget) -> str:
        return rule_of(budget)

    @admin.display(description="settled now")
    def spent(self, budget: Any) -> str | None:
        return amount_in_words(budget.current[0].settled, budget.measure) if budget.current else None

    @admin.display(description="reserved now")
    def held(self, budget: Any) -> str | None:
        return amount_in_words(budget.current[0].reserved, budget.measure) if budget.current else None

    @admin.display(description="remaining now")
    def left(self, budget: Any) -> str | None:
        return amount_in_words(remaining(budget, budget.current[0]), budget.measure) if budget.current else None

    @admin.display(description="first window")
    def counted(self, budget: Budget) -> str:
        return "counts from when it was made" if budget.counts_from_now else "counts what was spent before in it"

    @admin.display(description="current windows")
    def windows(self, budget: Budget) -> str:
        found = current_windows(Period.objects.filter(budget=budget).select_related("unit"))
        rows = [window_cells(budget, window) for window in found.order_by("-settled", "id")[:_MOST_WINDOWS]]
        return window_table(rows) if rows else "none yet: one is opened by the first request"


@admin.register(BudgetOverride)
class BudgetOverrideAdmin(GovernedAdmin):
    list_display = ("budget", "cap", "starts_at", "ends_at", "ended_at", "author", "reason", "organization")
    list_filter = (OrganizationFilter,)
    list_select_related = ("organization", "budget")
    search_fields = ("reason", "author", "=id", "=budget__id")
    search_help_text = "Words of the reason, the author, or the id of an override or a budget."
    fields = readonly_fields = (
        "id", "organization", "budget", "cap", "starts_at", "ends_at", "ended_at", "author", "reason", "created_at",
    )  # fmt: skip
    audited_kind = "override"
    acts = {"end": admin_forms.EndOverride}

    @admin.display(ordering="amount")
    def cap(self, override: BudgetOverride) -> str:
        return amount_in_words(override.amount, override.budget.measure)


@admin.register(Period)
class PeriodAdmin(OrganizationColumn, BigTable):
    list_display = ("label", "scope", "rule", "cap", "spent", "held", "left", "organization")
    list_filter = (CurrentFilter, OrganizationFilter)
    list_select_related = ("budget__unit", "unit")
    indexed = {"id": ("id",), "budget_id": ("id",)}
    sought = ("id", "budget_id")
    search_help_text = "The whole id of a period or of a budget."
    fields = readonly_fields = (
        "id", "organization", "budget", "scope", "rule", "label", "starts_at", "ends_at", "cap", "spent", "held",
        "left", "counted_before", "is_seeding", "lock_rank",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Period]:
        return super().get_queryset(request).prefetch_related("budget__overrides")

    @admin.display
    def scope(self, period: Period) -> str:
        return str(period.unit or period.budget.unit or "the whole organization")

    @admin.display
    def cap(self, period: Period) -> str:
        return cap_in_words(period.budget)

    @admin.display
    def rule(self, period: Period) -> str:
        return rule_of(period.budget)

    @admin.display(description="settled")
    def spent(self, period: Period) -> str:
        return amount_in_words(period.settled, period.budget.measure)

    @admin.display(description="reserved")
    def held(self, period: Period) -> str:
        return amount_in_words(period.reserved, period.budget.measure)

    @admin.display(description="remaining")
    def left(self, period: Period) -> str:
        return amount_in_words(remaining(period.budget, period), period.budget.measure)

    @admin.display(description="settled before the budget existed")
    def counted_before(self, period: Period) -> str:
        return amount_in_words(period.seeded, period.budget.measure)


@admin.register(Reservation)
class ReservationAdmin(OrganizationColumn, BigTable, GovernedAdmin):
    list_display = ("reserved_at", "amount", "booked", "came_to", "bought", "key_id", "organization")
    list_filter = (OpenFilter, OrganizationFilter)
    # Open ones as their index has them: by id alone Postgres might look for them through all that ended since.
    indexed = {"id": ("id",), "state": ("organization_id", "id")}
    sought = ("id", "key_id", "request_id")
    search_help_text = "The whole id of a reservation, a key or a request."
    fields = readonly_fields = (
        "id", "organization", "came_to", "late", "amount_usd", "amount_tokens", "booked_usd",
        "booked_tokens", "entries", "bought", "actor", "key", "request_id", "scopes", "windows", "process_id",
        "reserved_at", "expires_at", "ended_at",
    )  # fmt: skip
    audited_kind = "reservation"
    acts = {"end": admin_forms.EndReservation}

    @admin.display(description="state")
    def came_to(self, reservation: Reservation) -> str:
        plain = reservation.end_cause in ("", reservation.state)
        return reservation.state if plain else f"{reservation.state}: {reservation.end_cause}"

    @admin.display(description="outcome came late")
    def late(self, reservation: Reservation) -> str:
        return "yes: it had ended before, and a correction was booked" if reservation.is_late else "no"

    @admin.display(description="reserved (USD)")
    def amount(self, reservation: Reservation) -> str:
        return align_usd(reservation.amount_nanos)

    @admin.display(description="booked (USD)")
    def booked(self, reservation: Reservation) -> str | None:
        return None if reservation.ended_at is None else align_usd(reservation.booked_nanos)

    @admin.display(description="reserved")
    def amount_usd(self, reservation: Reservation) -> str:
        return f"{format_usd(reservation.amount_nanos)} USD"

    @admin.display(description="booked")
    def booked_usd(self, reservation: Reservation) -> str:
        return "nothing yet" if reservation.ended_at is None else f"{format_usd(reservation.booked_nanos)} USD"

    @admin.display(description="ledger entries")
    def entries(self, reservation: Reservation) -> str:
        if reservation.entry_id is None:
            return "none"
        return list_link("ledger_ledgerentry", reservation.id, "of this reservation")

    @admin.display(description="model")
    def bought(self, reservation: Reservation) -> str:
        return f"{reservation.provider}/{reservation.model}"

    @admin.display
    def actor(self, reservation: Reservation) -> str:
        return str(Unit.objects.filter(id=reservation.actor_id).first() or reservation.actor_id)

    @admin.display
    def key(self, reservation: Reservation) -> SafeString:
        return list_link("keys_key", reservation.key_id, reservation.key_id)

    @admin.display(description="scope set")
    def scopes(self, reservation: Reservation) -> str:
        return named_scopes(reservation.scope_ids)

    @admin.display(description="periods")
    def windows(self, reservation: Reservation) -> str:
        periods = Period.objects.select_related("budget__unit", "unit").filter(id__in=reservation.period_ids)
        rows = [window_cells(period.budget, period) for period in periods.order_by("lock_rank", "id")]
        return window_table(rows) if rows else "none: no budget applied"


@admin.register(SettleQuarantine)
class SettleQuarantineAdmin(OrganizationColumn, BigTable, GovernedAdmin):
    list_display = ("created_at", "reservation_id", "organization", "error", "resolved_at")
    list_filter = (OrganizationFilter,)
    sought = ("reservation_id",)
    search_help_text = "The whole id of a reservation."
    fields = readonly_fields = ("id", "reservation_id", "organization", "payload", "error", "created_at", "resolved_at")
    audited_kind = "quarantined settle"
    acts = {"retry": admin_forms.RetryQuarantined, "resolve": admin_forms.ResolveQuarantined}


admin.site.register(GatewayProcess, GatewayProcessAdmin)
admin.site.register(GovernanceVersion, GovernanceVersionAdmin)
admin.site.register(GovernanceChange, GovernanceChangeAdmin)
