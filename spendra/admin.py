"""What rooms that know no organization and packages bring to the admin, as far as an operator has a use for it.

Background tasks are only shown: whoever may write one names a Python function that the worker then calls. Groups are
not: nobody's rights come from one.
"""

from django.contrib import admin
from django.contrib.auth.models import Group
from django_q.models import Failure, OrmQ, Schedule, Success, Task

from apps.audit.admin import AuditCheckpointAdmin, AuditLinkAdmin, AuditRecordAdmin
from apps.audit.models import AuditCheckpoint, AuditLink, AuditRecord
from apps.orgs.admin_columns import OrganizationColumn, OrganizationFilter
from apps.outbox.admin import DeliveryAdmin, OutboxMessageAdmin, StateFilter
from apps.outbox.models import Delivery, OutboxMessage
from spendra.kernel.governed_admin import ReadOnlyAdmin

admin.site.unregister((Group, Schedule, Success, Failure, OrmQ))


@admin.register(AuditRecord)
class NamedAuditRecordAdmin(OrganizationColumn, AuditRecordAdmin):
    list_filter = (OrganizationFilter,)


@admin.register(AuditLink)
class NamedAuditLinkAdmin(OrganizationColumn, AuditLinkAdmin):
    organization_id_column, nil_means = "chain_id", "the whole installation"
    list_filter = (OrganizationFilter,)


@admin.register(AuditCheckpoint)
class NamedAuditCheckpointAdmin(OrganizationColumn, AuditCheckpointAdmin):
    organization_id_column, nil_means = "chain_id", "the whole installation"
    list_filter = (OrganizationFilter,)


@admin.register(OutboxMessage)
class NamedOutboxMessageAdmin(OrganizationColumn, OutboxMessageAdmin):
    list_filter = (OrganizationFilter,)


@admin.register(Delivery)
class NamedDeliveryAdmin(OrganizationColumn, DeliveryAdmin):
    list_filter = (StateFilter, OrganizationFilter)


@admin.register(Schedule)
class ScheduleAdmin(ReadOnlyAdmin):
    list_display = ("name", "func", "minutes", "next_run")
    ordering = ("name",)
    fields = readonly_fields = ("name", "func", "schedule_type", "minutes", "repeats", "next_run", "task")


@admin.register(OrmQ)
class QueuedAdmin(ReadOnlyAdmin):
    list_display = ("name", "func", "lock", "task_id")
    fields = readonly_fields = ("name", "func", "lock", "task_id")


@admin.register(Failure, Success)
class EndedTaskAdmin(ReadOnlyAdmin):
    list_display = ("name", "func", "started", "stopped", "seconds")
    search_fields = ("name", "func")
    fields = readonly_fields = ("name", "func", "started", "stopped", "seconds", "attempt_count", "result")

    @admin.display(description="seconds")
    def seconds(self, task: Task) -> str:
        return f"{(task.stopped - task.started).total_seconds():.3f}"
