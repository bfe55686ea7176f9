from django.db import migrations

from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    dependencies = [("budgets", "0004_richer_budgets")]
    operations = [run_file(__file__, "verified_v1.sql")]
