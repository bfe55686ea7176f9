from django.db import migrations, models

from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    dependencies = [("policies", "0002_shadow_counts")]
    operations = [
        migrations.CreateModel(
            name="Refusal",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        editable=False,
                        help_text="Of the request: what its answer said in x-request-id.",
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("organization_id", models.UUIDField()),
                ("key_id", models.TextField()),
                ("provider", models.TextField(blank=True)),
                (
                    "model",
                    models.TextField(
                        blank=True, help_text="As the client named it; empty where it was refused before that was read."
                    ),
                ),
                ("code", models.TextField()),
                ("message", models.TextField()),
                ("details", models.JSONField(help_text="The rule or cap, as the answer said it to machines.")),
                ("at", models.DateTimeField(db_index=True)),
            ],
            options={"ordering": ("-id",)},
        ),
        run_file(__file__, "refusals_v1.sql"),
    ]
