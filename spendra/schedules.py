"""The one list of periodic jobs. The sweeper is not here: the relay runs it each second, schedules are for minutes."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone
from django_q.models import OrmQ, Schedule, Success

_PREFIX = "spendra: "


@dataclass(frozen=True, slots=True)
class Job:
    name: str
    function: str
    minutes: int


JOBS = (
    Job("make month partitions ahead", "apps.budgets.tasks.ensure_partitions", minutes=60),
    Job("forget what rules moved", "apps.budgets.tasks.prune_changes", minutes=10),
    Job("open periods ahead", "apps.budgets.tasks.open_periods_ahead", minutes=5),
    Job("forget windows of rate limits", "apps.budgets.tasks.forget_short_periods", minutes=5),
    Job("look at thresholds of budgets", "apps.budgets.tasks.look_at_thresholds", minutes=1),
    Job("forget old refusals", "apps.policies.tasks.forget_refusals", minutes=60),
    Job("end reviews that nobody decided", "apps.policies.tasks.lapse_reviews", minutes=10),
    Job("drop months past the retention", "apps.budgets.tasks.apply_retention", minutes=360),
    Job("forget old failures of jobs", "spendra.tasks.forget_failures", minutes=60),
    Job("sign audit checkpoints", "apps.audit.tasks.sign_checkpoints", minutes=5),
)


@transaction.atomic
def install() -> None:
    """The schedules of this list and no other of ours: run at each start of a worker, one at a time, since nothing else
    keeps two from making the same one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", ["spendra schedules"])
    wanted = {_PREFIX + job.name: job for job in JOBS}
    Schedule.objects.filter(name__startswith=_PREFIX).exclude(name__in=wanted).delete()
    for name, job in wanted.items():
        Schedule.objects.update_or_create(
            name=name,
            defaults={"func": job.function, "schedule_type": Schedule.MINUTES, "minutes": job.minutes, "repeats": -1},
        )


def last_successes() -> dict[Job, datetime | None]:
    """When each job last ended well."""
    names = {_PREFIX + job.name: job for job in JOBS}
    ended = dict(Success.objects.filter(group__in=names).values_list("group").annotate(last=Max("stopped")).order_by())
    return {job: ended.get(name) for name, job in names.items()}


def oldest_waiting_seconds() -> float:
    """The age of the oldest task that is neither done nor given up; 0 where there is none."""
    oldest = OrmQ.objects.order_by("id").first()
    # Without a time where another secret signed it; the task cluster drops that one.
    at = oldest.task.get("started") if oldest else None
    return max((timezone.now() - at).total_seconds(), 0.0) if at else 0.0
