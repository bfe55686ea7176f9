from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.orgs.admin_columns import OrganizationColumn, OrganizationFilter
from apps.policies import admin_forms
from apps.policies.models import (
    Approval,
    ApprovalUse,
    Freeze,
    Policy,
    PolicyVersion,
    Refusal,
    Review,
    ShadowCount,
    VersionState,
)
from spendra.kernel.admin_links import row_link
from spendra.kernel.big_table_admin import BigTable
from spendra.kernel.governed_admin import GovernedAdmin, ReadOnlyAdmin
from spendra.kernel.money import align_usd, format_usd

_MOST_VERSIONS = 50


@admin.register(Policy)
class PolicyAdmin(GovernedAdmin):
    list_display = ("name", "kind", "scope", "states", "organization", "created_at")
    list_filter = ("kind", "organization")
    list_select_related = ("organization", "unit")
    search_fields = ("name", "unit__name", "organization__slug", "id")
    fields = readonly_fields = (
        "id", "organization", "name", "kind", "scope", "states", "versions", "revision", "created_at",
    )  # fmt: skip
    audited_kind = "policy"
    creation = admin_forms.CreatePolicy
    acts = {"draft": admin_forms.DraftVersion}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Policy]:
        return super().get_queryset(request).prefetch_related("versions")

    @admin.display(description="scope")
    def scope(self, policy: Policy) -> str:
        return str(policy.unit or "the organization")

    @admin.display(description="state")
    def states(self, policy: Policy) -> str:
        living = [version for version in policy.versions.all() if version.state != VersionState.RETIRED]
        return ", ".join(f"version {version.number} {version.state}" for version in living) or "retired"

    @admin.display(description="versions")
    def versions(self, policy: Policy) -> SafeString:
        links = (
            (row_link("policies_policyversion", version.id, f"version {version.number}, {version.state}"),)
            for version in policy.versions.all()[:_MOST_VERSIONS]
        )
        return format_html_join(", ", "{}", links)


@admin.register(PolicyVersion)
class PolicyVersionAdmin(GovernedAdmin):
    list_display = ("policy", "number", "state", "effective_from", "effective_until", "organization", "created_at")
    list_filter = ("state", "policy__kind", "organization")
    list_select_related = ("policy", "organization")
    search_fields = ("policy__name", "organization__slug", "id")
    fields = readonly_fields = (
        "id", "organization", "policy", "number", "state", "selector", "rule", "effective_from", "effective_until",
        "in_shadow", "created_by", "created_at", "shadowed_at", "activated_at", "retired_at",
    )  # fmt: skip
    audited_kind, audited_field = "policy", "policy_id"
    acts = {
        "edit": admin_forms.EditDraft,
        "shadow": admin_forms.PutInShadow,
        "activate": admin_forms.Activate,
        "retire": admin_forms.Retire,
    }

    @admin.display(description="in shadow")
    def in_shadow(self, version: PolicyVersion) -> str:
        count = ShadowCount.objects.filter(version_id=version.id).first()
        if count is None:
            return "nothing counted"
        return (
            f"of {count.asked} requests it would have denied {count.denied} and held back {count.for_review}, "
            f"from {count.first_at:%Y-%m-%d %H:%M} to {count.last_at:%Y-%m-%d %H:%M} UTC"
        )


class OpenFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("frozen", "Frozen"), ("thawed", "Thawed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Freeze]) -> QuerySet[Freeze]:
        wanted = self.value()
        return queryset if wanted is None else queryset.filter(thawed_at__isnull=wanted == "frozen")


@admin.register(Freeze)
class FreezeAdmin(GovernedAdmin):
    list_display = ("target_kind", "target_id", "reason", "frozen_by", "frozen_at", "thawed_at", "organization")
    list_display_links = ("target_kind", "target_id")
    list_filter = (OpenFilter, "target_kind", "organization")
    list_select_related = ("organization",)
    search_fields = ("target_id", "reason", "organization__slug")
    fields = readonly_fields = (
        "id", "organization", "target_kind", "target_id", "reason", "frozen_by", "frozen_at", "thawed_by", "thawed_at",
        "thaw_reason",
    )  # fmt: skip
    audited_kind = "freeze"
    creation = admin_forms.FreezeTarget
    acts = {"thaw": admin_forms.Thaw}


@admin.register(Review)
class ReviewAdmin(OrganizationColumn, GovernedAdmin):
    list_display = ("key_id", "provider", "model", "asked", "state", "organization", "created_at")
    list_filter = ("state", OrganizationFilter)
    search_fields = ("key_id", "model", "id")
    fields = readonly_fields = (
        "id", "organization", "key_id", "actor_id", "policy_version_id", "provider", "model", "asked", "state",
        "approved", "decided_by", "decided_at", "note", "created_at",
    )  # fmt: skip
    audited_kind = "review"
    acts = {"approve": admin_forms.Approve, "deny": admin_forms.Deny}

    @admin.display(description="asked (USD)", ordering="asked_nanos")
    def asked(self, review: Review) -> str:
        return align_usd(review.asked_nanos)

    @admin.display(description="approved")
    def approved(self, review: Review) -> str | None:
        approval = Approval.objects.filter(review=review).first()
        if approval is None:
            return None
        return f"{format_usd(approval.max_nanos)} USD until {approval.valid_until:%Y-%m-%d %H:%M} UTC"


@admin.register(Approval)
class ApprovalAdmin(ReadOnlyAdmin):
    list_display = ("key_id", "provider", "model", "amount", "valid_until", "organization", "created_at")
    list_filter = ("organization",)
    list_select_related = ("organization",)
    search_fields = ("key_id", "model", "id")
    fields = readonly_fields = (
        "id", "organization", "review", "key_id", "provider", "model", "amount", "valid_until", "created_at",
    )  # fmt: skip

    @admin.display(description="amount (USD)", ordering="max_nanos")
    def amount(self, approval: Approval) -> str:
        return align_usd(approval.max_nanos)


@admin.register(ApprovalUse)
class ApprovalUseAdmin(ReadOnlyAdmin):
    list_display = ("approval_id", "reservation_id", "used_at")
    search_fields = ("approval_id", "reservation_id")


@admin.register(Refusal)
class RefusalAdmin(OrganizationColumn, BigTable):
    list_display = ("at", "code", "key_id", "asked_for", "organization")
    list_filter = (OrganizationFilter,)
    indexed = {"id": ("id",), "organization": ("id",)}
    sought = ("id", "key_id", "code")
    search_help_text = "The whole id of a request or a key, or a code, such as budget_exceeded."
    fields = readonly_fields = (
        "id", "organization", "key_id", "asked_for", "code", "message", "details", "basis", "at",
    )  # fmt: skip

    @admin.display(description="model")
    def asked_for(self, refusal: Refusal) -> str | None:
        return f"{refusal.provider}/{refusal.model}" if refusal.model else None
