from django.db import migrations, models

import spendra.kernel.ids
from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    dependencies = [("outbox", "0002_put")]

    operations = [
        migrations.CreateModel(
            name="Delivery",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=spendra.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("consumer", models.CharField(max_length=60)),
                ("message_id", models.UUIDField()),
                ("organization_id", models.UUIDField(null=True)),
                ("topic", models.CharField(max_length=60)),
                ("payload", models.JSONField()),
                ("created_at", models.DateTimeField(help_text="When the fact was committed.")),
                ("attempts", models.PositiveSmallIntegerField()),
                ("next_attempt_at", models.DateTimeField()),
                ("last_error", models.TextField()),
                (
                    "dead_at",
                    models.DateTimeField(help_text="Since then it is a dead letter: it waits for a replay.", null=True),
                ),
            ],
            options={
                "verbose_name": "failed delivery",
                "verbose_name_plural": "failed deliveries",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(
                        condition=models.Q(("dead_at", None)),
                        fields=["consumer", "next_attempt_at"],
                        name="delivery_due",
                    ),
                    models.Index(
                        condition=models.Q(("dead_at", None)),
                        fields=["consumer", "created_at"],
                        name="delivery_undelivered",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("consumer", "message_id"), name="delivery_once_a_consumer")
                ],
            },
        ),
        run_file(__file__, "queue_v1.sql"),
    ]
