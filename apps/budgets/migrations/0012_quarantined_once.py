from django.db import migrations

from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    dependencies = [("budgets", "0011_quarantine_is_told")]
    operations = [run_file(__file__, "quarantine_v2.sql")]
