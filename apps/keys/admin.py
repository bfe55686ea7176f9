from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from apps.keys import admin_forms
from apps.keys.models import Grant, Key
from apps.orgs.admin_columns import OrganizationFilter
from spendra.kernel import clock
from spendra.kernel.governed_admin import GovernedAdmin, ReadOnlyAdmin
from spendra.kernel.money import format_usd


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(state, state) for state in ("active", "expired", "revoked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Key]) -> QuerySet[Key]:
        expired = Q(expires_at__lte=clock.now())
        match self.value():
            case "active":
                return queryset.filter(~expired, revoked_at=None)
            case "expired":
                return queryset.filter(expired, revoked_at=None)
            case "revoked":
                return queryset.exclude(revoked_at=None)
        return queryset


@admin.register(Key)
class KeyAdmin(GovernedAdmin):
    list_display = ("key_id", "state", "actor", "organization", "granted", "environment_label", "created_at")
    list_filter = ("environment_label", StateFilter, OrganizationFilter)
    list_select_related = ("actor", "organization", "project")
    search_fields = ("key_id", "actor__name", "project__name", "organization__slug", "grants__pattern")
    # Not the hash of the secret: nobody reads anything out of it.
    fields = readonly_fields = (
        "key_id", "state", "organization", "actor", "project", "granted", "environment_label", "max_reservation",
        "default_output_tokens", "expires_at", "revoked_at", "created_at",
    )  # fmt: skip
    audited_kind, audited_field = "key", "key_id"
    creation = admin_forms.IssueKey
    acts = {
        "grant": admin_forms.GrantModels,
        "withdraw": admin_forms.WithdrawGrants,
        "limits": admin_forms.ChangeLimits,
        "reassign": admin_forms.Reassign,
        "revoke": admin_forms.RevokeKey,
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Key]:
        return super().get_queryset(request).prefetch_related("grants")

    @admin.display(description="state")
    def state(self, key: Key) -> str:
        if key.revoked_at is not None:
            return "revoked"
        return "expired" if key.expires_at is not None and key.expires_at <= clock.now() else "active"

    @admin.display(description="grants")
    def granted(self, key: Key) -> str:
        return ", ".join(grant.pattern for grant in key.grants.all()) or "none"

    @admin.display(description="most that one request may reserve")
    def max_reservation(self, key: Key) -> str:
        return "no limit" if key.max_reservation_nanos is None else f"{format_usd(key.max_reservation_nanos)} USD"


@admin.register(Grant)
class GrantAdmin(ReadOnlyAdmin):
    list_display = ("pattern", "key", "organization")
    list_filter = (OrganizationFilter,)
    list_select_related = ("key", "organization")
    search_fields = ("pattern", "key__key_id", "organization__slug")
