from django.db import migrations, models

import spendra.kernel.ids
from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_found_by_index")]
    operations = [
        migrations.CreateModel(
            name="AuditLink",
            fields=[
                ("record_id", models.UUIDField(primary_key=True, serialize=False)),
                ("chain_id", models.UUIDField(help_text="The organization; the nil UUID for the whole installation.")),
                ("place", models.BigIntegerField(help_text="1, 2, 3 and so on, without a gap.")),
                ("hash", models.BinaryField(max_length=32)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("chain_id", "place"), name="audit_link_once")],
            },
        ),
        migrations.CreateModel(
            name="AuditCheckpoint",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=spendra.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("chain_id", models.UUIDField()),
                ("place", models.BigIntegerField()),
                ("hash", models.BinaryField(max_length=32)),
                ("made_at", models.DateTimeField()),
                (
                    "signing_key",
                    models.CharField(help_text="Which key signed: the beginning of its SHA-256.", max_length=16),
                ),
                ("signature", models.BinaryField(max_length=32)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("chain_id", "place", "signing_key"), name="audit_checkpoint_once")
                ],
            },
        ),
        run_file(__file__, "chain_v1.sql"),
    ]
