from django.db import migrations

from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [run_file(__file__, "shared_v1.sql")]
