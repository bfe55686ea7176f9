from django.db import migrations, models

from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    dependencies = [
        ("budgets", "0002_money_core"),
    ]
    operations = [
        migrations.CreateModel(
            name="GovernanceChange",
            fields=[
                ("seq", models.BigAutoField(primary_key=True, serialize=False)),
                ("organization_id", models.UUIDField()),
                ("token", models.UUIDField(help_text="What the transaction made the organization's token.")),
                (
                    "previous_token",
                    models.UUIDField(help_text="What it was before; on a transaction's first note only.", null=True),
                ),
                ("table_name", models.TextField()),
                ("row_name", models.TextField()),
                ("changed_at", models.DateTimeField()),
            ],
            options={
                "indexes": [models.Index(fields=["organization_id", "seq"], name="governance_change_since")],
            },
        ),
        run_file(__file__, "governance_v2.sql"),
    ]
