import os
import signal

import pytest
from django_q.models import Success
from django_q.tasks import async_task

from tests.roles.commands import all_pids, command_of, eventually, health, parent_of, port_in, role, scrape


@pytest.fixture
def worker(tmp_path, database):
    with role(tmp_path, database.url, "worker", "--metrics-port", "0") as process:
        process.port = port_in(process.wait_for_error_line("worker on "))
        process.wait_for_error_line("running.")
        eventually(lambda: health(process.port)[0] == 200)
        yield process


def result_of(task_id):
    return eventually(lambda: Success.objects.filter(id=task_id).first()).result


def task_cluster(process):
    """The guard of django-q2 and the processes below it."""
    pids = process.descendants()
    (main,) = [pid for pid in pids if "--part tasks" in command_of(pid) and parent_of(pid) == process.pid]
    (guard,) = [pid for pid in pids if parent_of(pid) == main]
    return guard, [pid for pid in pids if parent_of(pid) == guard]


def test_the_worker_runs_tasks_sweeps_each_second_and_ends_whole_on_sigterm(worker):
    assert result_of(async_task("math.copysign", 2, -1)) == -2.0
    eventually(lambda: 'spendra_sweeper_sweeps_total{outcome="done"} 2.0' in scrape(worker.port))
    eventually(lambda: 'spendra_seeder_passes_total{outcome="done"} ' in scrape(worker.port))
    (lag,) = [line for line in scrape(worker.port).splitlines() if line.startswith("spendra_sweeper_lag_seconds ")]
    assert float(lag.split()[1]) < 5
    worker.terminate()
    assert worker.exit_code(30) == 0
    assert worker.descendants() == []
    assert "Traceback" not in worker.errors


def test_a_signal_to_the_whole_process_group_does_not_hang_it(worker):
    os.killpg(worker.pid, signal.SIGTERM)
    assert worker.exit_code(30) == 0
    assert worker.descendants() == []


def test_when_the_guard_is_killed_its_orphans_end_and_tasks_run_again(worker):
    guard, orphans = task_cluster(worker)
    assert len(orphans) >= 3
    os.kill(guard, signal.SIGKILL)
    eventually(lambda: not set(orphans) & set(worker.descendants()))
    assert result_of(async_task("math.copysign", 3, -1)) == -3.0
    worker.terminate()
    assert worker.exit_code(30) == 0
    assert worker.descendants() == []


def test_task_processes_end_when_all_above_them_are_killed_at_once(worker):
    guard, tasks = task_cluster(worker)
    above = [worker.pid, parent_of(guard), guard]
    for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first: none of them outlives another
        for pid in above:
            os.kill(pid, number)
    eventually(lambda: not set(tasks) & set(all_pids()))
    eventually(lambda: worker.descendants() == [])


def test_everything_ends_when_the_parent_is_killed(worker):
    assert len(worker.descendants()) >= 6
    os.kill(worker.pid, signal.SIGKILL)
    eventually(lambda: worker.descendants() == [])
