"""A worker whose sweeps fail is not well: doubtful calls are to be booked within a minute."""

from pathlib import Path

import pytest

from spendra.roles.sweeping import MOST_SECONDS_WITHOUT_A_SWEEP
from tests.databases import Database
from tests.roles.commands import eventually, health, port_in, role


@pytest.mark.system
@pytest.mark.timeout(300)
def test_a_worker_whose_sweeps_fail_turns_red_and_green_again(tmp_path: Path, database: Database) -> None:
    with role(tmp_path, database.url, "worker", "--metrics-port", "0") as worker:
        port = port_in(worker.wait_for_error_line("worker on "))
        eventually(lambda: health(port)[0] == 200)
        connection = database.connect()
        connection.execute("ALTER FUNCTION budgets_process_lives_v1 RENAME TO gone")
        eventually(lambda: health(port)[0] == 503, MOST_SECONDS_WITHOUT_A_SWEEP + 30)
        assert "sweeper: no sweep has worked for" in str(health(port))
        connection.execute("ALTER FUNCTION gone RENAME TO budgets_process_lives_v1")
        eventually(lambda: health(port)[0] == 200, 30)
