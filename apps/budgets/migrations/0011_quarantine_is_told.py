from django.db import migrations

from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    dependencies = [("budgets", "0010_quarantine_is_resolved"), ("outbox", "0002_put")]
    operations = [run_file(__file__, "quarantine_v1.sql")]
