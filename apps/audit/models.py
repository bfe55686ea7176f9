from uuid import UUID

from django.db import models

from spendra.kernel.ids import uuid7

# Stands for the organization in the chain of records that concern none.
INSTALLATION = UUID(int=0)


class AuditRecord(models.Model):
    """What a person or a command changed. Append-only in the database itself: see migration 0002.

    Knows ids and strings only, never a foreign model, so that a record outlives what it tells about.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField()
    organization_id = models.UUIDField(null=True)
    actor = models.CharField(max_length=300, help_text="Who did it: an e-mail address, or command:NAME.")
    action = models.CharField(max_length=100, help_text="room.verb, such as keys.revoke")
    object_kind = models.CharField(max_length=60)
    object_id = models.CharField(max_length=200)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("organization_id", "-id"), name="audit_by_organization"),
            models.Index(fields=("object_kind", "object_id", "-id"), name="audit_by_object"),
            models.Index(fields=("object_id", "-id"), name="audit_by_object_id"),
            models.Index(fields=("actor", "-id"), name="audit_by_actor"),
            models.Index(fields=("action", "-id"), name="audit_by_action"),
        )

    def __str__(self) -> str:
        return f"{self.action} {self.object_kind} {self.object_id}"


class AuditLink(models.Model):
    """A record's place in the chain of its organization. Made by the deferred triggers alone (sql/chain_v1.sql)."""

    record_id = models.UUIDField(primary_key=True)
    chain_id = models.UUIDField(help_text="The organization; the nil UUID for the whole installation.")
    place = models.BigIntegerField(help_text="1, 2, 3 and so on, without a gap.")
    hash = models.BinaryField(max_length=32)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("chain_id", "place"), name="audit_link_once"),)

    def __str__(self) -> str:
        return f"{self.place} of {self.chain_id}"


class AuditCheckpoint(models.Model):
    """How far a chain went at a moment, signed with a key that the database does not know: it shows a lost end."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    chain_id = models.UUIDField()
    place = models.BigIntegerField()
    hash = models.BinaryField(max_length=32)
    made_at = models.DateTimeField()
    signing_key = models.CharField(max_length=16, help_text="Which key signed: the beginning of its SHA-256.")
    signature = models.BinaryField(max_length=32)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("chain_id", "place", "signing_key"), name="audit_checkpoint_once"),
        )

    def __str__(self) -> str:
        return f"{self.place} of {self.chain_id}"
