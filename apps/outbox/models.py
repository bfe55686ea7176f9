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


class Delivery(models.Model):
    """A message that one consumer failed to take, with the message itself: it has left the queue for all the others."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    consumer = models.CharField(max_length=60)
    message_id = models.UUIDField()
    organization_id = models.UUIDField(null=True)
    topic = models.CharField(max_length=60)
    payload = models.JSONField()
    created_at = models.DateTimeField(help_text="When the fact was committed.")
    attempts = models.PositiveSmallIntegerField()
    next_attempt_at = models.DateTimeField()
    last_error = models.TextField()
    dead_at = models.DateTimeField(null=True, help_text="Since then it is a dead letter: it waits for a replay.")

    class Meta:
        verbose_name = "failed delivery"
        verbose_name_plural = "failed deliveries"
        ordering = ("-id",)
        constraints = (models.UniqueConstraint(fields=("consumer", "message_id"), name="delivery_once_a_consumer"),)
        indexes = (
            models.Index(fields=("consumer", "next_attempt_at"), condition=models.Q(dead_at=None), name="delivery_due"),
            models.Index(
                fields=("consumer", "created_at"), condition=models.Q(dead_at=None), name="delivery_undelivered"
            ),
        )

    def __str__(self) -> str:
        return f"{self.topic} {self.message_id} for {self.consumer}"
