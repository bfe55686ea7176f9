from django.db import migrations

from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    dependencies = [("budgets", "0005_verified"), ("ledger", "0004_archived_months")]
    operations = [run_file(__file__, "archive_v1.sql")]
