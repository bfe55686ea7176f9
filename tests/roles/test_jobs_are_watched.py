"""A task cluster that hangs, a job that fails for days and partitions that run out turn the worker red."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ, Success, Task
from django_q.monitor import save_task
from django_q.tasks import async_task

from apps.budgets import maintenance
from spendra import schedules
from spendra.roles.watching import Watch
from tests.databases import Database
from tests.roles.commands import eventually, health, port_in, role, scrape


def ended(job: schedules.Job, at: datetime, *, success: bool = True) -> None:
    id = f"{job.name[:12]} {at:%d%H%M}"
    Task.objects.create(
        id=id, name=id, func=job.function, group=f"spendra: {job.name}", started=at, stopped=at, success=success
    )


def all_ended(at: datetime) -> None:
    for job in schedules.JOBS:
        ended(job, at)


def reasons(*, up: timedelta = timedelta(days=1)) -> list[str]:
    watch = Watch(timezone.now() - up)
    watch.act()
    return watch.reasons()


def test_all_is_well_where_each_job_has_ended_well_a_while_ago(database: Database) -> None:
    all_ended(timezone.now() - timedelta(minutes=14))
    assert reasons() == []


def test_a_job_that_has_only_failed_for_three_of_its_intervals_is_named(database: Database) -> None:
    all_ended(timezone.now())
    job = next(job for job in schedules.JOBS if job.name == "sign audit checkpoints")
    Success.objects.filter(group=f"spendra: {job.name}").delete()
    ended(job, timezone.now() - timedelta(minutes=16))
    ended(job, timezone.now() - timedelta(minutes=1), success=False)
    [reason] = reasons()
    assert re.fullmatch("jobs: 'sign audit checkpoints' has not ended well for 96\\d seconds", reason)


def test_a_job_that_never_ended_well_is_named_when_it_should_have(database: Database) -> None:
    assert len(reasons(up=timedelta(days=1))) == len(schedules.JOBS)
    assert len(reasons(up=timedelta(minutes=16))) == sum(job.minutes <= 5 for job in schedules.JOBS)
    assert reasons(up=timedelta(minutes=14)) == []


def test_a_worker_that_just_came_back_has_a_moment_to_catch_up(database: Database) -> None:
    all_ended(timezone.now() - timedelta(days=3))
    assert reasons(up=timedelta(minutes=1)) == []
    assert len(reasons(up=timedelta(minutes=3))) == len(schedules.JOBS)


def test_frequent_jobs_do_not_push_the_last_success_of_a_rare_one_out(database: Database) -> None:
    now = timezone.now()
    all_ended(now - timedelta(hours=5))
    frequent = next(job for job in schedules.JOBS if job.minutes == 5)
    for number in range(150):
        at = now + timedelta(seconds=number)
        told: dict[str, Any] = {"id": f"{number}", "name": f"{number}", "func": frequent.function, "args": (),
                                "kwargs": {}, "started": at, "stopped": at, "success": True, "result": 0,
                                "group": f"spendra: {frequent.name}"}  # fmt: skip
        save_task(told, None)
    assert Success.objects.filter(func=frequent.function).count() == 100
    assert None not in schedules.last_successes().values()


def test_the_oldest_task_that_has_not_ended_has_an_age(database: Database) -> None:
    assert schedules.oldest_waiting_seconds() == 0
    async_task("math.copysign", 2, -1)
    assert 0 < schedules.oldest_waiting_seconds() < 10
    OrmQ.objects.update(payload="signed by somebody else")
    assert schedules.oldest_waiting_seconds() == 0


def series(port: int, name: str) -> list[float]:
    return [float(line.split()[-1]) for line in scrape(port).splitlines() if line.startswith(name)]


@pytest.mark.parametrize("table", ["ledger_spendevent", "budgets_reservation"])
def test_a_worker_turns_red_where_partitions_run_out(tmp_path: Any, database: Database, table: str) -> None:
    with role(tmp_path, database.url, "worker", "--metrics-port", "0") as worker:
        port = port_in(worker.wait_for_error_line("worker on "))
        worker.wait_for_error_line("running.")
        eventually(lambda: health(port)[0] == 200)
        eventually(lambda: series(port, "spendra_partitions_ahead_months") == [12.0])
        after_next = timezone.now().replace(day=1) + timedelta(days=70)
        database.connect().execute(f"DROP TABLE {table}_{after_next:%Y_%m}")
        status, report = eventually(lambda: (found := health(port))[0] == 503 and found)
        assert (status, report["reasons"]) == (503, ["partitions: only 1 months ahead"])
        assert maintenance.ensure_partitions() == 1
        eventually(lambda: health(port)[0] == 200)


@pytest.mark.system  # a scheduler looks at its jobs twice a minute
def test_a_worker_says_when_each_of_its_jobs_last_ended_well(tmp_path: Any, database: Database) -> None:
    with role(tmp_path, database.url, "worker", "--metrics-port", "0") as worker:
        port = port_in(worker.wait_for_error_line("worker on "))
        worker.wait_for_error_line("running.")
        eventually(lambda: len(series(port, "spendra_job_last_success_timestamp_seconds")) == len(schedules.JOBS), 90)
        eventually(lambda: series(port, "spendra_task_queue_oldest_seconds") == [0.0])
