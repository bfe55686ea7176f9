from django.contrib.postgres.fields import ArrayField
from django.db import models

from spendra.kernel.ids import uuid7
from spendra.kernel.money import format_usd


class EntryKind(models.TextChoices):
    CHARGE = "charge"
    CORRECTION = "correction"


class EntryStatus(models.TextChoices):
    FINAL = "final"
    ESTIMATED = "estimated"


class SpendEvent(models.Model):
    """What was observed of one request: usage, price version, cost. Append-only, partitioned by booked_at.

    Table, partitions and triggers are made in SQL (migration 0002); no database foreign key points here or away.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization_id = models.UUIDField()
    reservation_id = models.UUIDField()
    provider = models.TextField()
    model = models.TextField(help_text="The model that answered, where known, else the one asked for.")
    usage = models.JSONField(help_text="Units a usage class, with service_tier.")
    price_version_id = models.UUIDField(null=True)
    cost_nanos = models.BigIntegerField()
    status = models.TextField(choices=EntryStatus)
    occurred_at = models.DateTimeField()
    booked_at = models.DateTimeField()

    class Meta:
        db_table = "ledger_spendevent"
        ordering = ("-booked_at",)

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}, {format_usd(self.cost_nanos)} USD"


class LedgerEntry(models.Model):
    """The booked consequence. Signed; the sum is what was spent. Append-only, partitioned by booked_at."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization_id = models.UUIDField()
    reservation_id = models.UUIDField()
    spend_event_id = models.UUIDField(null=True)
    corrects_id = models.UUIDField(null=True, help_text="The entry that a correction is the difference to.")
    kind = models.TextField(choices=EntryKind)
    status = models.TextField(choices=EntryStatus)
    cause = models.TextField(
        help_text="settled, overage, expired, by_hand, recovered, late_settle, late_void: why this entry exists."
    )
    amount_nanos = models.BigIntegerField()
    tokens = models.BigIntegerField()
    provider = models.TextField()
    model = models.TextField()
    key_id = models.TextField()
    actor_id = models.UUIDField()
    scope_ids = ArrayField(models.UUIDField())
    period_ids = ArrayField(models.BigIntegerField())
    occurred_at = models.DateTimeField(help_text="When the reservation was made.")
    booked_at = models.DateTimeField()

    class Meta:
        db_table = "ledger_ledgerentry"
        verbose_name_plural = "ledger entries"
        ordering = ("-booked_at",)

    def __str__(self) -> str:
        return f"{self.kind} of {format_usd(self.amount_nanos)} USD"
