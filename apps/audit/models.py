from django.db import models

from spendra.kernel.ids import uuid7


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
