"""Whether the background jobs do their work: a task cluster that hangs, or a job that fails each time, says nothing by
itself."""

from datetime import datetime, timedelta

from django.db import close_old_connections
from django.utils import timezone
from prometheus_client import Gauge

from apps.budgets import maintenance
from spendra import schedules
from spendra.roles.repeating import Repeating
from spendra.schedules import Job

# So many intervals of a job without a success, and somebody has to look.
MOST_INTERVALS = 3
# Not earlier for a job of each minute, which waits its turn behind those that take a while.
_LEAST_INTERVAL_MINUTES = 5
LEAST_MONTHS_AHEAD = 2
# What was due while no worker ran is done by then; the scheduler of django-q2 wakes every 30 seconds.
_GRACE = timedelta(minutes=2)

succeeded = Gauge("spendra_job_last_success_timestamp_seconds", "When a periodic job last ended well.", ["task"])
oldest = Gauge("spendra_task_queue_oldest_seconds", "Age of the oldest background task that has not ended.")
ahead = Gauge("spendra_partitions_ahead_months", "For how many months after this one every partition is there.")


class Watch(Repeating):
    name = "Watch"
    period_seconds = 10.0

    def __init__(self, up_since: datetime) -> None:
        super().__init__()
        self._up_since = up_since
        self._successes: dict[Job, datetime | None] = {}
        self._months_ahead = LEAST_MONTHS_AHEAD

    def act(self) -> bool:
        close_old_connections()
        self._successes = schedules.last_successes()
        for job, at in self._successes.items():
            if at is not None:
                succeeded.labels(job.name).set(at.timestamp())
        oldest.set(schedules.oldest_waiting_seconds())
        self._months_ahead = maintenance.partitions_ahead()
        ahead.set(self._months_ahead)
        return False

    def failed(self) -> None:
        """Readiness says why: the database is away, or has no migrations."""

    def reasons(self) -> list[str]:
        """Why the worker is not well, in sentences; empty when it is."""
        now = timezone.now()
        stale = [self._stale(job, at, now) for job, at in self._successes.items()] if self._is_settled(now) else []
        missing = (
            [f"partitions: only {self._months_ahead} months ahead"] if self._months_ahead < LEAST_MONTHS_AHEAD else []
        )
        return [*filter(None, stale), *missing]

    def _is_settled(self, now: datetime) -> bool:
        return now - self._up_since > _GRACE

    def _stale(self, job: Job, at: datetime | None, now: datetime) -> str:
        age = now - (at or self._up_since)
        if age <= timedelta(minutes=max(job.minutes, _LEAST_INTERVAL_MINUTES)) * MOST_INTERVALS:
            return ""
        return f"jobs: {job.name!r} has not ended well for {age.total_seconds():.0f} seconds"
