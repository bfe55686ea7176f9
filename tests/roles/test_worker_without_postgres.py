import os
import subprocess
import sys

from django_q.models import Success
from django_q.tasks import async_task

from spendra.development.embedded_postgres import EmbeddedPostgres
from tests import databases
from tests.roles.commands import eventually, get, health, port_in, role
from tests.roles.serving import ROOT


def migrate(url):
    environment = {**os.environ, "DATABASE_URL": url}
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True)


def test_the_worker_waits_for_migrations_and_outlives_a_restart_of_postgres(tmp_path, django_db_blocker):
    postgres = EmbeddedPostgres(tmp_path / "postgres", durable=False)
    url = postgres.start()
    try:
        with role(tmp_path, url, "worker", "--metrics-port", "0") as worker:
            port = port_in(worker.wait_for_error_line("worker on "))
            worker.wait_for_error_line("The task cluster waits: migrations")
            status, report = eventually(lambda: health(port))
            assert (status, report["reasons"]) == (503, ["migrations: none is applied"])
            migrate(url)
            eventually(lambda: health(port)[0] == 200)
            worker.wait_for_error_line("running.")
            postgres.stop()
            status, report = health(port)
            assert (status, report["reasons"][0].partition(":")[0]) == (503, "database")
            assert get(port, "/health/live")[0] == 200
            worker.wait_for_error_line("Sweep failed, trying again: OperationalError")
            postgres.start()
            eventually(lambda: health(port)[0] == 200)
            with django_db_blocker.unblock(), databases.as_default(databases.Database(url)):
                task = async_task("math.copysign", 4, -1)
                assert eventually(lambda: Success.objects.filter(id=task).first()).result == -4.0
            worker.terminate()
            assert worker.exit_code(40) == 0
            assert worker.descendants() == []
    finally:
        postgres.stop()
