from django.db import migrations

from spendra.kernel.sql import run_file


class Migration(migrations.Migration):
    dependencies = [("outbox", "0001_initial")]
    operations = [run_file(__file__, "put_v1.sql")]
