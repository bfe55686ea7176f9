"""Registered in spendra/admin.py, which adds the names of organizations: this room knows their ids only."""

import json

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.audit.models import AuditLink, AuditRecord
from spendra.kernel.big_table_admin import BigTable


class AuditRecordAdmin(BigTable):
    list_display = ("at", "actor", "action", "object_kind", "object_id", "organization", "reason")
    indexed = dict.fromkeys(("id", "organization", "actor", "action", "object_id", "object_kind"), ("id",))
    sought = ("id", "actor", "action", "object_id")
    search_help_text = "A whole actor, action or object id, such as keys.revoke."
    fields = readonly_fields = (
        "id", "at", "actor", "action", "object_kind", "object_id", "organization", "reason", "was", "became",
        "link",
    )  # fmt: skip

    @admin.display(description="before")
    def was(self, record: AuditRecord) -> SafeString:
        return _pretty(record.before)

    @admin.display(description="after")
    def became(self, record: AuditRecord) -> SafeString:
        return _pretty(record.after)

    @admin.display(description="in the chain")
    def link(self, record: AuditRecord) -> str:
        found = AuditLink.objects.filter(record_id=record.id).first()
        return "no link: run manage.py audit_verify" if found is None else f"{found.place}: {bytes(found.hash).hex()}"


def _pretty(values: object) -> SafeString:
    return format_html("<pre>{}</pre>", json.dumps(values, indent=2, ensure_ascii=False, sort_keys=True))
