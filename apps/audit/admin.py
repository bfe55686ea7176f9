"""Registered in spendra/admin.py, which adds the names of organizations: this room knows their ids only."""

import json

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.audit.models import AuditCheckpoint, AuditLink, AuditRecord
from spendra.kernel.admin_links import row_link
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


class AuditLinkAdmin(BigTable):
    list_display = ("place", "organization", "record", "hash_in_hex")
    # A place is one in its chain alone, and the index has them chain by chain.
    indexed = {"record_id": ("record_id",), "organization": ("place",)}
    sought = ("record_id",)
    search_help_text = "The whole id of an audit record."
    fields = readonly_fields = ("organization", "place", "record", "hash_in_hex")

    @admin.display
    def record(self, link: AuditLink) -> SafeString:
        return row_link("audit_auditrecord", link.record_id, link.record_id)

    @admin.display(description="hash")
    def hash_in_hex(self, link: AuditLink) -> str:
        return bytes(link.hash).hex()


class AuditCheckpointAdmin(BigTable):
    list_display = ("made_at", "organization", "place", "signing_key", "hash_in_hex")
    indexed = {"id": ("id",), "organization": ("place", "id")}
    search_help_text = "The whole id of a checkpoint."
    fields = readonly_fields = ("id", "organization", "place", "hash_in_hex", "made_at", "signing_key", "signed")

    @admin.display(description="hash")
    def hash_in_hex(self, checkpoint: AuditCheckpoint) -> str:
        return bytes(checkpoint.hash).hex()

    @admin.display(description="signature")
    def signed(self, checkpoint: AuditCheckpoint) -> str:
        return bytes(checkpoint.signature).hex()
