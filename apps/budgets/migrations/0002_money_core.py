import django.contrib.postgres.fields
from django.db import migrations, models

from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    dependencies = [
        ("budgets", "0001_initial"),
        ("catalog", "0001_initial"),
        ("keys", "0001_initial"),
        ("ledger", "0001_initial"),
        ("orgs", "0001_initial"),
        ("outbox", "0002_put"),
        ("providers", "0001_initial"),
        ("spendra", "0001_shared_functions"),
    ]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[run_file(__file__, "tables_v1.sql")],
            state_operations=[
                migrations.CreateModel(
                    name="Reservation",
                    fields=[
                        ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                        ("organization_id", models.UUIDField()),
                        ("key_id", models.TextField()),
                        ("actor_id", models.UUIDField()),
                        ("process_id", models.UUIDField()),
                        ("request_id", models.TextField()),
                        ("provider", models.TextField()),
                        ("model", models.TextField()),
                        ("price_version_id", models.UUIDField(null=True)),
                        ("amount_nanos", models.BigIntegerField()),
                        ("amount_tokens", models.BigIntegerField()),
                        (
                            "scope_ids",
                            django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), size=None),
                        ),
                        (
                            "period_ids",
                            django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                        ),
                        (
                            "state",
                            models.TextField(
                                choices=[
                                    ("open", "Open"),
                                    ("settled", "Settled"),
                                    ("voided", "Voided"),
                                    ("expired", "Expired"),
                                ]
                            ),
                        ),
                        (
                            "end_cause",
                            models.TextField(
                                blank=True,
                                help_text="settled, overage, voided, expired, by_hand, recovered, tombstone.",
                            ),
                        ),
                        ("booked_nanos", models.BigIntegerField(default=0)),
                        ("booked_tokens", models.BigIntegerField(default=0)),
                        (
                            "is_late",
                            models.BooleanField(
                                default=False, help_text="The gateway's outcome came after the reservation had ended."
                            ),
                        ),
                        (
                            "entry_id",
                            models.UUIDField(
                                help_text="The first ledger entry, at which a correction points.", null=True
                            ),
                        ),
                        ("reserved_at", models.DateTimeField()),
                        ("expires_at", models.DateTimeField()),
                        ("ended_at", models.DateTimeField(null=True)),
                    ],
                    options={
                        "ordering": ("-id",),
                    },
                ),
            ],
        ),
        run_file(__file__, "locks_v1.sql"),
        run_file(__file__, "known_v1.sql"),
        run_file(__file__, "recovering_v1.sql"),
        run_file(__file__, "endings_v1.sql"),
    ]
