from django.db import migrations

from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    dependencies = [("budgets", "0007_crossings")]
    operations = [run_file(__file__, "archiving_v1.sql")]
