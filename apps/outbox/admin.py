from django.contrib import admin

from spendra.kernel.governed_admin import ReadOnlyAdmin
from apps.outbox.models import OutboxMessage


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "topic", "organization_id", "id")
    search_fields = ("topic", "organization_id", "id")
