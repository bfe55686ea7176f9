from django.db import migrations

from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    dependencies = [("budgets", "0006_period_archive"), ("outbox", "0002_put")]
    operations = [run_file(__file__, "crossings_v1.sql")]
