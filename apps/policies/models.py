from django.db import models

from apps.orgs.models import Organization, Unit
from spendra.kernel.ids import uuid7
from spendra.kernel.money import MAX_AMOUNT_NANOS


class PolicyKind(models.TextChoices):
    ALLOWLIST = "allowlist"
    PER_REQUEST_LIMIT = "per_request_limit"
    REVIEW = "review"
    ALERT = "alert"


class Policy(models.Model):
    """A rule without money for a scope, known by its name. What it says is in its versions."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="policies")
    unit = models.ForeignKey(
        Unit, null=True, blank=True, on_delete=models.PROTECT, related_name="policies",
        help_text="Empty: the whole organization.",
    )  # fmt: skip
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=20, choices=PolicyKind)
    revision = models.PositiveIntegerField(default=1, help_text="Grows with each change of it or of a version of it.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "policies"
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("organization", "name"), name="policy_name_once"),
            models.CheckConstraint(condition=models.Q(kind__in=PolicyKind.values), name="policy_kind_known"),
        )

    def __str__(self) -> str:
        return self.name


class VersionState(models.TextChoices):
    DRAFT = "draft"
    SHADOW = "shadow"
    ACTIVE = "active"
    RETIRED = "retired"


class PolicyVersion(models.Model):
    """What a policy says. Once it has left draft its content never changes: the database itself refuses that."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    selector = models.JSONField(default=dict, help_text="Which requests it is for; empty: all of its scope.")
    rule = models.JSONField()
    state = models.CharField(max_length=10, choices=VersionState, default=VersionState.DRAFT)
    effective_from = models.DateTimeField(null=True, blank=True, help_text="Empty: at once.")
    effective_until = models.DateTimeField(null=True, blank=True, help_text="Empty: until it is retired.")
    created_by = models.CharField(max_length=300)
    created_at = models.DateTimeField(auto_now_add=True)
    shadowed_at = models.DateTimeField(null=True, blank=True)
    activated_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("policy", "-number")
        constraints = (
            models.UniqueConstraint(fields=("policy", "number"), name="policy_version_once"),
            models.UniqueConstraint(
                fields=("policy",), condition=models.Q(state="draft"), name="policy_version_one_draft"
            ),
            models.UniqueConstraint(
                fields=("policy",), condition=models.Q(state="shadow"), name="policy_version_one_shadow"
            ),
            models.UniqueConstraint(
                fields=("policy",), condition=models.Q(state="active"), name="policy_version_one_active"
            ),
            models.CheckConstraint(condition=models.Q(state__in=VersionState.values), name="policy_state_known"),
            models.CheckConstraint(
                condition=models.Q(effective_from=None)
                | models.Q(effective_until=None)
                | models.Q(effective_until__gt=models.F("effective_from")),
                name="policy_dates_in_order",
            ),
        )

    def __str__(self) -> str:
        return f"{self.policy}, version {self.number}"


class FreezeTargetKind(models.TextChoices):
    ORGANIZATION = "organization"
    UNIT = "unit"
    PROVIDER_ACCOUNT = "provider_account"
    KEY = "key"


class Freeze(models.Model):
    """The stop switch: while a freeze is open, no request of its target passes."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="freezes")
    target_kind = models.CharField(max_length=20, choices=FreezeTargetKind)
    target_id = models.CharField(
        max_length=64, help_text="An organization's or a unit's id, a provider's name, a key's public id."
    )
    reason = models.CharField(max_length=500)
    frozen_by = models.CharField(max_length=300)
    frozen_at = models.DateTimeField()
    thawed_by = models.CharField(max_length=300, blank=True)
    thawed_at = models.DateTimeField(null=True, blank=True)
    thaw_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("organization", "target_kind", "target_id"),
                condition=models.Q(thawed_at=None),
                name="freeze_open_once",
            ),
            models.CheckConstraint(
                condition=models.Q(target_kind__in=FreezeTargetKind.values), name="freeze_target_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_target_kind_display()} {self.target_id}"


class ReviewState(models.TextChoices):
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    LAPSED = "lapsed"  # nobody decided it in time


class Review(models.Model):
    """Somebody asked for what a review policy holds back. Gateways make these by policies_put_review_v1, at a client's
    word: so no foreign keys, and nothing that a snapshot reads."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization_id = models.UUIDField()
    key_id = models.CharField(max_length=40)
    actor_id = models.UUIDField()
    policy_version_id = models.UUIDField()
    provider = models.CharField(max_length=40)
    model = models.CharField(max_length=200)
    asked_nanos = models.BigIntegerField(help_text="The greatest worst case that was asked for.")
    state = models.CharField(max_length=10, choices=ReviewState, default=ReviewState.PENDING)
    decided_by = models.CharField(max_length=300, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("-id",)
        constraints = (
            # Gateways also count by its first two columns.
            models.UniqueConstraint(
                fields=("organization_id", "key_id", "provider", "model"),
                condition=models.Q(state="pending"),
                name="review_pending_once",
            ),
            models.CheckConstraint(condition=models.Q(state__in=ReviewState.values), name="review_state_known"),
            models.CheckConstraint(
                condition=models.Q(asked_nanos__gte=0, asked_nanos__lte=MAX_AMOUNT_NANOS),
                name="review_amount_in_range",
            ),
        )
        indexes = (models.Index(fields=("organization_id", "-id"), name="review_by_organization"),)

    def __str__(self) -> str:
        return f"{self.provider}/{self.model} with {self.key_id}"


class Approval(models.Model):
    """Lets one request pass a review policy. A table of its own: a snapshot reads it, and people alone write it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    review = models.OneToOneField(Review, on_delete=models.PROTECT, related_name="approval")
    key_id = models.CharField(max_length=40)
    provider = models.CharField(max_length=40)
    model = models.CharField(max_length=200)
    max_nanos = models.BigIntegerField()
    valid_until = models.DateTimeField()
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(max_nanos__gte=0, max_nanos__lte=MAX_AMOUNT_NANOS),
                name="approval_amount_in_range",
            ),
        )

    def __str__(self) -> str:
        return f"{self.provider}/{self.model} with {self.key_id}"


class ApprovalUse(models.Model):
    """Which reservation passed by an approval. Written inside reserve, by SQL alone: no foreign keys, no triggers."""

    approval_id = models.UUIDField(primary_key=True)
    reservation_id = models.UUIDField(db_index=True)
    used_at = models.DateTimeField()

    class Meta:
        ordering = ("-used_at",)

    def __str__(self) -> str:
        return str(self.approval_id)


class ShadowCount(models.Model):
    """What a version would have said while it was in shadow. Gateways add to it by policies_count_shadow_v1, every few
    seconds: no foreign keys, no triggers."""

    version_id = models.UUIDField(primary_key=True)
    organization_id = models.UUIDField(db_index=True)
    asked = models.BigIntegerField(help_text="Requests that it could have had something against.")
    denied = models.BigIntegerField()
    for_review = models.BigIntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        ordering = ("-last_at",)

    def __str__(self) -> str:
        return str(self.version_id)


class Refusal(models.Model):
    """What a gateway answered to an authenticated key that it refused. Gateways note it by policies_note_refusals_v2:
    no foreign keys, and append-only for thirty days, after which the worker forgets it."""

    id = models.UUIDField(
        primary_key=True, editable=False, help_text="Of the request: what its answer said in x-request-id."
    )
    organization_id = models.UUIDField()
    key_id = models.TextField()
    provider = models.TextField(blank=True)
    model = models.TextField(
        blank=True, help_text="As the client named it; empty where it was refused before that was read."
    )
    code = models.TextField()
    message = models.TextField()
    details = models.JSONField(help_text="The rule or cap, as the answer said it to machines.")
    basis = models.JSONField(
        null=True,
        help_text="What it was decided on: scopes, tools, worst case, budgets. Null where it was refused before.",
    )
    at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.code} {self.id}"
