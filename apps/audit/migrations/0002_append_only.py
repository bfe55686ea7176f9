from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial"), ("spendra", "0001_shared_functions")]
    operations = [
        migrations.RunSQL(
            "SELECT spendra_protect_rows_v1('audit_auditrecord'), spendra_protect_truncate_v1('audit_auditrecord')",
            migrations.RunSQL.noop,
        )
    ]
