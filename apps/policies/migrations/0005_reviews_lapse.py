from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("policies", "0004_what_refusals_were_decided_on")]
    operations = [
        migrations.RemoveConstraint(model_name="review", name="review_state_known"),
        migrations.AlterField(
            model_name="review",
            name="state",
            field=models.CharField(
                choices=[
                    ("pending", "Pending"),
                    ("approved", "Approved"),
                    ("denied", "Denied"),
                    ("lapsed", "Lapsed"),
                ],
                default="pending",
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="review",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["pending", "approved", "denied", "lapsed"])),
                name="review_state_known",
            ),
        ),
    ]
