"""Background tasks neither run twice at once, nor for ever, nor all at once after a pause."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.conf import Conf
from django_q.models import Failure, OrmQ, Schedule, Success
from django_q.scheduler import scheduler
from django_q.tasks import async_task

from spendra import schedules
from tests.roles.commands import eventually, health, port_in, role

LONGEST_START = 30


@pytest.fixture
def worker(tmp_path, database):
    with role(tmp_path, database.url, "worker", "--metrics-port", "0") as process:
        port = port_in(process.wait_for_error_line("worker on "))
        process.wait_for_error_line("running.")
        eventually(lambda: health(port)[0] == 200)
        yield process


def test_a_task_is_given_out_again_only_when_its_time_is_over_and_not_for_ever():
    assert Conf.TIMEOUT + LONGEST_START < Conf.RETRY
    assert 0 < Conf.MAX_ATTEMPTS <= 10


def test_a_job_that_was_due_for_days_runs_once(database):
    schedules.install()
    Schedule.objects.update(next_run=timezone.now() - timedelta(days=3))
    for _ in range(2):
        scheduler()
    assert sorted(task.func() for task in OrmQ.objects.all()) == sorted(job.function for job in schedules.JOBS)
    assert not Schedule.objects.filter(next_run__lte=timezone.now()).exists()


def test_a_task_that_always_fails_is_given_up(worker):
    task = async_task("math.sqrt", "no number")
    for attempt in range(1, Conf.MAX_ATTEMPTS + 1):
        failure = eventually(lambda: Failure.objects.filter(id=task, attempt_count=attempt).first())  # noqa: B023
        assert "must be real number" in failure.result
        if attempt < Conf.MAX_ATTEMPTS:
            assert OrmQ.objects.update(lock=timezone.now() - timedelta(seconds=1)) == 1
    eventually(lambda: OrmQ.objects.count() == 0)


def test_a_task_that_takes_too_long_has_failed_and_others_go_on(worker):
    slow = async_task("time.sleep", 60, timeout=1)
    quick = async_task("math.copysign", 2, -1)
    assert eventually(lambda: Success.objects.filter(id=quick).first()).result == -2.0
    assert "exceeded maximum timeout" in str(eventually(lambda: Failure.objects.filter(id=slow).first()).result)
