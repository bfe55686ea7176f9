from django.db import migrations

from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    dependencies = [("budgets", "0008_archiving")]
    operations = [run_file(__file__, "reserve_v3.sql")]
