from django.contrib import admin

from apps.outbox.models import OutboxMessage
from spendra.kernel.governed_admin import ReadOnlyAdmin


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "topic", "organization_id", "id")
    search_fields = ("topic", "organization_id", "id")
