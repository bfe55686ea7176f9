from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models

from apps.orgs.models import Organization, Unit, UnitKind
from spendra.kernel.ids import uuid7
from spendra.kernel.money import MAX_CAP_NANOS, format_usd


class Measure(models.TextChoices):
    NANOS = "nanos"
    REQUESTS = "requests"
    TOKENS = "tokens"


class PeriodKind(models.TextChoices):
    TOTAL = "total"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"
    FIXED = "fixed"


class Hardness(models.TextChoices):
    HARD = "hard"
    SOFT = "soft"


class Budget(models.Model):
    """An amount for a scope. The cap lives here only: a change touches no period and binds the next request."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="budgets")
    unit = models.ForeignKey(
        Unit, null=True, blank=True, on_delete=models.PROTECT, related_name="budgets",
        help_text="Empty: the whole organization.",
    )  # fmt: skip
    applies_to_each = models.CharField(
        max_length=20, choices=UnitKind, blank=True,
        help_text="Every unit of this kind below the scope gets a budget of its own, on first use.",
    )  # fmt: skip
    measure = models.CharField(max_length=10, choices=Measure, default=Measure.NANOS)
    period_kind = models.CharField(max_length=10, choices=PeriodKind)
    fixed_starts_at = models.DateTimeField(null=True, blank=True)
    fixed_ends_at = models.DateTimeField(null=True, blank=True)
    amount = models.BigIntegerField(help_text="nano-USD, requests or tokens, as the measure says.")
    hardness = models.CharField(max_length=4, choices=Hardness, default=Hardness.HARD)
    selector = models.JSONField(
        default=dict, db_default=models.Value({}, models.JSONField()), blank=True,
        help_text="Which requests of the scope it counts, as policies.selectors has it; empty: all of them.",
    )  # fmt: skip
    allocated_from = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="allocations",
        help_text="The budget of a wider scope of which this one is a part.",
    )  # fmt: skip
    counts_from_now = models.BooleanField(
        default=False, help_text="Leave out what was spent in the window before the budget existed."
    )
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(amount__gte=0, amount__lte=MAX_CAP_NANOS), name="budget_amount_in_range"
            ),
            models.CheckConstraint(condition=models.Q(hardness__in=Hardness.values), name="budget_hardness_known"),
            models.CheckConstraint(condition=models.Q(measure__in=Measure.values), name="budget_measure_known"),
            models.CheckConstraint(
                condition=models.Q(period_kind__in=PeriodKind.values), name="budget_period_kind_known"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    period_kind="fixed",
                    fixed_starts_at__isnull=False,
                    fixed_ends_at__gt=models.F("fixed_starts_at"),
                )
                | (~models.Q(period_kind="fixed") & models.Q(fixed_starts_at=None, fixed_ends_at=None)),
                name="budget_fixed_range_whole",
            ),
        )

    def __str__(self) -> str:
        return f"{amount_in_words(self.amount, self.measure)}, {self.hardness}, {self.period_kind}"


def amount_in_words(amount: int, measure: str) -> str:
    return f"{format_usd(amount)} USD" if measure == Measure.NANOS else f"{amount} {measure}"


class BudgetOverride(models.Model):
    """Another cap for a time. The base stays in the budget; reserve takes the override in force by its own clock.

    Those of one budget never overlap: an exclusion constraint of `sql/overrides_v1.sql` sees to it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="overrides", db_index=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    amount = models.BigIntegerField(help_text="In the measure of the budget.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    author = models.CharField(max_length=300)
    reason = models.CharField(max_length=500)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True, help_text="When somebody ended it before its time.")

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=("budget", "ends_at"), name="override_of_budget"),)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(amount__gte=0, amount__lte=MAX_CAP_NANOS), name="override_amount_in_range"
            ),
            models.CheckConstraint(
                condition=models.Q(ends_at__gt=models.F("starts_at")), name="override_ends_after_it_starts"
            ),
        )

    def __str__(self) -> str:
        return f"{amount_in_words(self.amount, self.budget.measure)} until {self.ends_at:%Y-%m-%d %H:%M}"

    def is_in_force(self, at: datetime) -> bool:
        return self.starts_at <= at < min(self.ends_at, self.ended_at or self.ends_at)


class Period(models.Model):
    """One time window of a budget: counters and bounds, never the cap. Known by its label; archived, never deleted, but
    for those whose id says that they may go: requests and tokens of a minute or an hour (`sql/periods_v2.sql`).

    Only the SQL functions of this room change counters. No database foreign keys: MONEY's rule for hot tables.
    """

    id = models.BigAutoField(primary_key=True)
    budget = models.ForeignKey(Budget, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    unit = models.ForeignKey(
        Unit, null=True, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False,
        help_text="The unit that an each-budget is for; empty for every other budget.",
    )  # fmt: skip
    organization_id = models.UUIDField()
    label = models.TextField(
        help_text="T, D2025-11-02, W2025-W44, M2025-11, Y2025, F, H2025-11-02T14:00+01:00 or I2025-11-02T13:05Z."
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    lock_rank = models.SmallIntegerField(help_text="Actor first, organization last. Never changed.")
    is_seeding = models.BooleanField(default=False, help_text="History is not summed yet: reserve answers in_flight.")
    seeded = models.BigIntegerField(default=0, help_text="The part of settled that came from history.")
    settled = models.BigIntegerField(default=0)
    reserved = models.BigIntegerField(default=0)

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=("budget", "unit", "label"), nulls_distinct=False, name="period_label_once"),
        )

    def __str__(self) -> str:
        return f"{self.label} of {self.budget}"


class ReservationState(models.TextChoices):
    OPEN = "open"
    SETTLED = "settled"
    VOIDED = "voided"
    EXPIRED = "expired"


class Reservation(models.Model):
    """Money held for one request. Ends once. Partitioned by id (UUIDv7); made and changed by SQL functions only."""

    id = models.UUIDField(primary_key=True, editable=False)
    organization_id = models.UUIDField()
    key_id = models.TextField()
    actor_id = models.UUIDField()
    process_id = models.UUIDField()
    request_id = models.TextField()
    provider = models.TextField()
    model = models.TextField()
    price_version_id = models.UUIDField(null=True)
    amount_nanos = models.BigIntegerField()
    amount_tokens = models.BigIntegerField()
    scope_ids = ArrayField(models.UUIDField())
    period_ids = ArrayField(models.BigIntegerField())
    state = models.TextField(choices=ReservationState)
    end_cause = models.TextField(
        blank=True, help_text="settled, overage, voided, expired, by_hand, recovered, tombstone."
    )
    booked_nanos = models.BigIntegerField(default=0)
    booked_tokens = models.BigIntegerField(default=0)
    is_late = models.BooleanField(
        default=False, help_text="The gateway's outcome came after the reservation had ended."
    )
    entry_id = models.UUIDField(null=True, help_text="The first ledger entry, at which a correction points.")
    reserved_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return str(self.id)


class GovernanceVersion(models.Model):
    """The token of an organization's rules; the row with the nil UUID is the catalog's and everybody's.

    Written by the deferred triggers alone, random at each change, so that no stale save and no failover re-uses one.
    """

    id = models.UUIDField(primary_key=True)
    token = models.UUIDField()

    def __str__(self) -> str:
        return str(self.id)


class GovernanceChange(models.Model):
    """One row of rules that moved, noted by the same triggers: gateways read again only what is noted since.

    `seq` is taken under the fence, so it is in the order of the commits. An empty `row_name` stands for all there is.
    """

    seq = models.BigAutoField(primary_key=True)
    organization_id = models.UUIDField()
    token = models.UUIDField(help_text="What the transaction made the organization's token.")
    previous_token = models.UUIDField(null=True, help_text="What it was before; on a transaction's first note only.")
    table_name = models.TextField()
    row_name = models.TextField()
    changed_at = models.DateTimeField()

    class Meta:
        indexes = (models.Index(fields=("organization_id", "seq"), name="governance_change_since"),)

    def __str__(self) -> str:
        return f"{self.table_name} {self.row_name}"


class GatewayProcess(models.Model):
    """One heartbeat row a gateway process: reservations of a process unseen for 30 s are expired."""

    id = models.UUIDField(primary_key=True)
    seen_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "gateway processes"

    def __str__(self) -> str:
        return str(self.id)


class SettleQuarantine(models.Model):
    """An ending that Postgres refuses (SQLSTATE class 22 or 23): kept as it was, until somebody has looked at it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    reservation_id = models.UUIDField()
    organization_id = models.UUIDField(null=True)
    payload = models.JSONField()
    error = models.TextField()
    created_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "quarantined settle"
        indexes = (
            models.Index(
                fields=("reservation_id",), condition=models.Q(resolved_at=None), name="settle_quarantine_waiting"
            ),
        )

    def __str__(self) -> str:
        return str(self.reservation_id)
