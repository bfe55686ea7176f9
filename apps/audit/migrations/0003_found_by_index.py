from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_append_only")]
    operations = [
        migrations.AddIndex("auditrecord", models.Index(fields=["object_id", "-id"], name="audit_by_object_id")),
        migrations.AddIndex("auditrecord", models.Index(fields=["actor", "-id"], name="audit_by_actor")),
        migrations.AddIndex("auditrecord", models.Index(fields=["action", "-id"], name="audit_by_action")),
    ]
