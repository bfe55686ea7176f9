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


class LocalDay(models.Model):
    """When a date of an organization began and ended, as its zone was when the date was first needed. Never changed: a
    correction finds the day of its charge also after the organization has moved to another zone. A date may have two
    spans then."""

    pk = models.CompositePrimaryKey("organization_id", "starts_at")
    organization_id = models.UUIDField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    day = models.DateField()

    class Meta:
        db_table = "ledger_localday"

    def __str__(self) -> str:
        return str(self.day)


class Rollup(models.Model):
    """A sum of ledger entries by when their reservations were made, so that a correction changes the sum of its charge.

    Bigint, as the counters of periods are: it would take nine billion USD in one row to overflow.
    """

    organization_id = models.UUIDField()
    status = models.TextField(choices=EntryStatus, db_collation="C")
    amount_nanos = models.BigIntegerField()
    tokens = models.BigIntegerField()
    requests = models.BigIntegerField(help_text="Charges, less those that turned out to be none (late_void).")
    entries = models.BigIntegerField()

    class Meta:
        abstract = True


class HourRollup(Rollup):
    """Of a scope in an hour (UTC)."""

    pk = models.CompositePrimaryKey("organization_id", "scope_id", "hour", "provider", "model", "key_id", "status")
    scope_id = models.UUIDField()
    hour = models.DateTimeField()
    provider = models.TextField(db_collation="C")
    model = models.TextField(db_collation="C")
    key_id = models.TextField(db_collation="C", help_text="In the rows of the actor itself; empty for wider scopes.")

    class Meta(Rollup.Meta):
        db_table = "ledger_hourrollup"

    def __str__(self) -> str:
        return f"{self.scope_id} {self.hour}"


class DayRollup(Rollup):
    """Of a scope on a date of its organization."""

    pk = models.CompositePrimaryKey("organization_id", "scope_id", "day", "provider", "model", "key_id", "status")
    scope_id = models.UUIDField()
    day = models.DateField()
    provider = models.TextField(db_collation="C")
    model = models.TextField(db_collation="C")
    key_id = models.TextField(db_collation="C", help_text="In the rows of the actor itself; empty for wider scopes.")

    class Meta(Rollup.Meta):
        db_table = "ledger_dayrollup"

    def __str__(self) -> str:
        return f"{self.scope_id} {self.day}"


class KeyRollup(Rollup):
    """Of a key within each scope that it spent in, on a date: who spent it."""

    pk = models.CompositePrimaryKey("organization_id", "scope_id", "day", "key_id", "status")
    scope_id = models.UUIDField()
    day = models.DateField()
    key_id = models.TextField(db_collation="C")

    class Meta(Rollup.Meta):
        db_table = "ledger_keyrollup"

    def __str__(self) -> str:
        return f"{self.key_id} {self.day}"


class PeriodRollup(Rollup):
    """Of a budget's period, by its id; periods of minutes and hours have none."""

    pk = models.CompositePrimaryKey("organization_id", "period_id", "provider", "model", "key_id", "status")
    period_id = models.BigIntegerField()
    provider = models.TextField(db_collation="C")
    model = models.TextField(db_collation="C")
    key_id = models.TextField(db_collation="C")

    class Meta(Rollup.Meta):
        db_table = "ledger_periodrollup"

    def __str__(self) -> str:
        return f"period {self.period_id}"
