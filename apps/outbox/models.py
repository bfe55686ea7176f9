from django.db import models

from spendra.kernel.ids import uuid7


class OutboxMessage(models.Model):
    """A fact waiting for the worker, written in the transaction of whoever caused it.

    Consumers claim rows with SKIP LOCKED; never "id > last", since a lower id may commit later.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization_id = models.UUIDField(null=True)
    topic = models.CharField(max_length=60)
    payload = models.JSONField()
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.topic} {self.id}"
