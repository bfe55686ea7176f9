"""Background tasks neither run twice at once, nor for ever, nor all at once after a pause."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.conf import Conf
from django_q.models import Failure, OrmQ, Schedule, Success
from django_q.scheduler import scheduler
from django_q.tasks import async_task

from spendra import schedules, tasks
from spendra.roles.task_starts import NOT_ENDED
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


def test_a_task_whose_process_dies_each_time_is_given_up(worker):
    """By SIGKILL, as the kernel does where memory is short."""
    task = async_task("signal.raise_signal", 9)
    for died in range(Conf.MAX_ATTEMPTS):
        failure = eventually(lambda: Failure.objects.filter(id=task, attempt_count=died).first())  # noqa: B023
        assert failure.result == NOT_ENDED
        if died < Conf.MAX_ATTEMPTS - 1:
            assert OrmQ.objects.update(lock=timezone.now() - timedelta(seconds=1)) == 1
    assert OrmQ.objects.count() == 0
    quick = async_task("math.copysign", 2, -1)
    success = eventually(lambda: Success.objects.filter(id=quick).first())
    assert (success.result, success.attempt_count) == (-2.0, 1)


def test_a_task_whose_process_died_once_is_done_the_next_time(worker, tmp_path):
    task = async_task("tests.roles.dying.die_once", str(tmp_path / "died"))
    eventually((tmp_path / "died").exists)
    assert OrmQ.objects.update(lock=timezone.now() - timedelta(seconds=1)) == 1
    success = eventually(lambda: Success.objects.filter(id=task).first())
    assert (success.result, success.attempt_count) == ("done", 2)
    eventually(lambda: OrmQ.objects.count() == 0)


def test_failures_are_forgotten_after_a_month(database):
    for number, days in enumerate((31, 29)):
        at = timezone.now() - timedelta(days=days)
        Failure.objects.create(id=f"{number}", name=f"{days}", func="f", started=at, stopped=at, success=False)
    assert tasks.forget_failures() == 1
    assert [failure.name for failure in Failure.objects.all()] == ["29"]


def test_a_task_that_takes_too_long_has_failed_and_others_go_on(worker):
    slow = async_task("time.sleep", 60, timeout=1)
    quick = async_task("math.copysign", 2, -1)
    assert eventually(lambda: Success.objects.filter(id=quick).first()).result == -2.0
    failure = eventually(lambda: Failure.objects.filter(id=slow, attempt_count=1).first())
    assert "exceeded maximum timeout" in failure.result
