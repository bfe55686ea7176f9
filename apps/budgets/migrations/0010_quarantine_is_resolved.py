from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("budgets", "0009_reserve_v3")]
    operations = [
        migrations.AddField(
            model_name="settlequarantine",
            name="resolved_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name="settlequarantine",
            index=models.Index(
                fields=["reservation_id"],
                condition=models.Q(resolved_at=None),
                name="settle_quarantine_waiting",
            ),
        ),
    ]
