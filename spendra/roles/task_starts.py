"""Each start of a background task counts, also one whose process died (SIGKILL, out of memory).

django-q2 counts attempts where results arrive: a task that kills its process never gets there, and would come again
for ever.
"""

from typing import Any

from django.dispatch import receiver
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import Task
from django_q.signals import pre_execute
from django_q.utils import get_func_repr

NOT_ENDED = "Started, and not ended: it still runs, or its process died."


@receiver(pre_execute)
def note(task: dict[str, Any], **_: object) -> None:
    """In the process that is about to run the task. The row that it leaves is the one that a result overwrites."""
    if "ack_id" not in task:
        return
    if (row := Task.objects.filter(id=task["id"]).first()) is None:
        _create(task)
    elif not row.success:
        # What is still there says that the attempt before had no end.
        died = row.result == NOT_ENDED
        Task.objects.filter(id=row.id).update(result=NOT_ENDED, attempt_count=row.attempt_count + died)
        if row.attempt_count + died + 1 >= Conf.MAX_ATTEMPTS:
            # The last attempt: whatever becomes of it, it does not come again.
            get_broker().acknowledge(task["ack_id"])


def _create(task: dict[str, Any]) -> None:
    # In bulk, since a saved row calls the task's hook.
    Task.objects.bulk_create(
        [
            Task(
                id=task["id"],
                name=task["name"],
                func=get_func_repr(task["func"]),
                hook=task.get("hook"),
                args=task["args"],
                kwargs=task["kwargs"],
                cluster=task.get("cluster"),
                group=task.get("group"),
                started=task["started"],
                stopped=task["started"],
                result=NOT_ENDED,
                success=False,
                attempt_count=0,
            )
        ]
    )
