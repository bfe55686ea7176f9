from django.db import migrations, models

from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    dependencies = [("policies", "0001_initial")]
    operations = [
        migrations.CreateModel(
            name="ShadowCount",
            fields=[
                ("version_id", models.UUIDField(primary_key=True, serialize=False)),
                ("organization_id", models.UUIDField(db_index=True)),
                ("asked", models.BigIntegerField(help_text="Requests that it could have had something against.")),
                ("denied", models.BigIntegerField()),
                ("for_review", models.BigIntegerField()),
                ("first_at", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
            ],
            options={"ordering": ("-last_at",)},
        ),
        run_file(__file__, "shadow_counts_v1.sql"),
    ]
