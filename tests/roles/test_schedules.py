"""The worker's list of periodic jobs is what the database runs, however often it is installed."""

from django.utils.module_loading import import_string
from django_q.models import Schedule

from spendra import schedules
from tests.databases import Database


def test_installing_twice_leaves_each_job_once(database: Database) -> None:
    schedules.install()
    schedules.install()
    assert sorted(Schedule.objects.values_list("func", flat=True)) == sorted(job.function for job in schedules.JOBS)


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
