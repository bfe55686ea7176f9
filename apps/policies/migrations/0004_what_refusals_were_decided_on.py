from django.db import migrations, models

from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    dependencies = [("policies", "0003_refusals")]
    operations = [
        migrations.AddField(
            model_name="refusal",
            name="basis",
            field=models.JSONField(
                help_text="What it was decided on: scopes, tools, worst case, budgets. Null where it was refused before.",
                null=True,
            ),
        ),
        run_file(__file__, "refusals_v2.sql"),
    ]
