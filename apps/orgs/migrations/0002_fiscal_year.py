import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orgs", "0001_initial"),
    ]
    operations = [
        migrations.AddField(
            model_name="organization",
            name="fiscal_year_starts_month",
            field=models.PositiveSmallIntegerField(
                db_default=1,
                default=1,
                help_text="In which budgets a year begin: 1 is January.",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(12),
                ],
            ),
        ),
    ]
