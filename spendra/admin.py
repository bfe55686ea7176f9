"""What packages bring to the admin, as far as an operator has a use for it.

Background tasks are only shown: whoever may write one names a Python function that the worker then calls. Groups are
not: nobody's rights come from one.
"""

from django.contrib import admin
from django.contrib.auth.models import Group
from django_q.models import Failure, OrmQ, Schedule, Success, Task

from spendra.kernel.governed_admin import ReadOnlyAdmin

admin.site.unregister((Group, Schedule, Success, Failure, OrmQ))


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
