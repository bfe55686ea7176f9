"""The worker's list of periodic jobs is what the database runs, however often it is installed."""

import threading

from django.db import connection
from django.utils.module_loading import import_string
from django_q.models import Schedule

from spendra import schedules
from tests.concurrency.callers import in_parallel
from tests.databases import Database


def test_installing_twice_leaves_each_job_once(database: Database) -> None:
    schedules.install()
    schedules.install()
    assert sorted(Schedule.objects.values_list("func", flat=True)) == sorted(job.function for job in schedules.JOBS)


def test_two_workers_that_start_at_once_make_each_job_once(database: Database) -> None:
    barrier = threading.Barrier(2)

    def install() -> None:
        barrier.wait()
        schedules.install()
        connection.close()

    in_parallel(install, install)
    schedules.install()
    assert Schedule.objects.count() == len(schedules.JOBS)


def test_a_job_that_left_the_list_leaves_the_database_and_a_customers_own_stays(database: Database) -> None:
    Schedule.objects.create(name="spendra: of yesterday", func="apps.gone", schedule_type=Schedule.DAILY)
    Schedule.objects.create(name="the customer's own", func="theirs", schedule_type=Schedule.DAILY)
    schedules.install()
    names = set(Schedule.objects.values_list("name", flat=True))
    assert "the customer's own" in names
    assert "spendra: of yesterday" not in names


def test_every_job_can_be_run(database: Database) -> None:
    for job in schedules.JOBS:
        assert import_string(job.function)() >= 0
