from django.db import migrations

from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    dependencies = [("ledger", "0003_rollups")]
    operations = [run_file(__file__, "archive_v1.sql")]
