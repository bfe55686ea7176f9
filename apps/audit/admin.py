import json

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.audit.models import AuditRecord
from spendra.kernel.governed_admin import ReadOnlyAdmin


@admin.register(AuditRecord)
class AuditRecordAdmin(ReadOnlyAdmin):
    list_display = ("at", "actor", "action", "object_kind", "object_id", "organization_id", "reason")
    search_fields = ("actor", "action", "object_id", "organization_id", "reason")
    fields = readonly_fields = (
        "id", "at", "actor", "action", "object_kind", "object_id", "organization_id", "reason", "was", "became",
    )  # fmt: skip

    @admin.display(description="before")
    def was(self, record: AuditRecord) -> SafeString:
        return _pretty(record.before)

    @admin.display(description="after")
    def became(self, record: AuditRecord) -> SafeString:
        return _pretty(record.after)


def _pretty(values: object) -> SafeString:
    return format_html("<pre>{}</pre>", json.dumps(values, indent=2, ensure_ascii=False, sort_keys=True))
