from django.db import migrations, models

from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="DayRollup",
            fields=[
                ("organization_id", models.UUIDField()),
                (
                    "status",
                    models.TextField(choices=[("final", "Final"), ("estimated", "Estimated")], db_collation="C"),
                ),
                ("amount_nanos", models.BigIntegerField()),
                ("tokens", models.BigIntegerField()),
                (
                    "requests",
                    models.BigIntegerField(help_text="Charges, less those that turned out to be none (late_void)."),
                ),
                ("entries", models.BigIntegerField()),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "organization_id",
                        "scope_id",
                        "day",
                        "provider",
                        "model",
                        "key_id",
                        "status",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("scope_id", models.UUIDField()),
                ("day", models.DateField()),
                ("provider", models.TextField(db_collation="C")),
                ("model", models.TextField(db_collation="C")),
                (
                    "key_id",
                    models.TextField(
                        db_collation="C", help_text="In the rows of the actor itself; empty for wider scopes."
                    ),
                ),
            ],
            options={
                "db_table": "ledger_dayrollup",
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="HourRollup",
            fields=[
                ("organization_id", models.UUIDField()),
                (
                    "status",
                    models.TextField(choices=[("final", "Final"), ("estimated", "Estimated")], db_collation="C"),
                ),
                ("amount_nanos", models.BigIntegerField()),
                ("tokens", models.BigIntegerField()),
                (
                    "requests",
                    models.BigIntegerField(help_text="Charges, less those that turned out to be none (late_void)."),
                ),
                ("entries", models.BigIntegerField()),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "organization_id",
                        "scope_id",
                        "hour",
                        "provider",
                        "model",
                        "key_id",
                        "status",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("scope_id", models.UUIDField()),
                ("hour", models.DateTimeField()),
                ("provider", models.TextField(db_collation="C")),
                ("model", models.TextField(db_collation="C")),
                (
                    "key_id",
                    models.TextField(
                        db_collation="C", help_text="In the rows of the actor itself; empty for wider scopes."
                    ),
                ),
            ],
            options={
                "db_table": "ledger_hourrollup",
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="KeyRollup",
            fields=[
                ("organization_id", models.UUIDField()),
                (
                    "status",
                    models.TextField(choices=[("final", "Final"), ("estimated", "Estimated")], db_collation="C"),
                ),
                ("amount_nanos", models.BigIntegerField()),
                ("tokens", models.BigIntegerField()),
                (
                    "requests",
                    models.BigIntegerField(help_text="Charges, less those that turned out to be none (late_void)."),
                ),
                ("entries", models.BigIntegerField()),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "organization_id",
                        "scope_id",
                        "day",
                        "key_id",
                        "status",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("scope_id", models.UUIDField()),
                ("day", models.DateField()),
                ("key_id", models.TextField(db_collation="C")),
            ],
            options={
                "db_table": "ledger_keyrollup",
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="LocalDay",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "organization_id", "starts_at", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("organization_id", models.UUIDField()),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("day", models.DateField()),
            ],
            options={
                "db_table": "ledger_localday",
            },
        ),
        migrations.CreateModel(
            name="PeriodRollup",
            fields=[
                ("organization_id", models.UUIDField()),
                (
                    "status",
                    models.TextField(choices=[("final", "Final"), ("estimated", "Estimated")], db_collation="C"),
                ),
                ("amount_nanos", models.BigIntegerField()),
                ("tokens", models.BigIntegerField()),
                (
                    "requests",
                    models.BigIntegerField(help_text="Charges, less those that turned out to be none (late_void)."),
                ),
                ("entries", models.BigIntegerField()),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "organization_id",
                        "period_id",
                        "provider",
                        "model",
                        "key_id",
                        "status",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("period_id", models.BigIntegerField()),
                ("provider", models.TextField(db_collation="C")),
                ("model", models.TextField(db_collation="C")),
                ("key_id", models.TextField(db_collation="C")),
            ],
            options={
                "db_table": "ledger_periodrollup",
                "abstract": False,
            },
        ),
        run_file(__file__, "rollups_v1.sql"),
    ]
