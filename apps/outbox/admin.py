"""Registered in spendra/admin.py, which adds the names of organizations: this room knows their ids only."""

from spendra.kernel.big_table_admin import BigTable


class OutboxMessageAdmin(BigTable):
    list_display = ("created_at", "topic", "organization", "id")
    sought = ("id", "topic")
    search_help_text = "The whole id of a message, or a whole topic."
