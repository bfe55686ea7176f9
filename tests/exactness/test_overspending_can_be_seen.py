"""The control: the same load without the lock and the fence passes the cap, and the watcher and the books say so. If
this fails, the tests beside it prove nothing."""

from itertools import cycle
from pathlib import Path

from apps.budgets.models import Period
from tests.concurrency.callers import watched
from tests.concurrency.test_no_overspend import NO_LOCKS
from tests.databases import Database
from tests.exactness.books import above_a_cap, wait_until_settled
from tests.exactness.load import Caller, run_until_refused
from tests.gateway.company import make_company
from tests.gateway.conftest import Sandbox
from tests.gateway.running import RunningGateway

AT_ONCE = 48
MOST_ROUNDS = 20
CAP = 20


def test_without_the_lock_and_the_fence_the_same_load_passes_its_cap(
    database: Database, sandbox: Sandbox, tmp_path: Path
) -> None:
    database.connect().execute(NO_LOCKS)
    with RunningGateway(database.url, sandbox.url, tmp_path / "gateway.log", processes=4) as gateway:
        for _ in range(MOST_ROUNDS):
            company = make_company(gateway.url)
            company.cap(CAP, measure="requests")
            callers = [
                Caller(gateway.url, company.key, request)
                for request, _ in zip(cycle([{}, {"stream": True}]), range(AT_ONCE), strict=False)
            ]
            with watched(database, above_a_cap(company.organization)) as passed:
                run_until_refused(callers)
            wait_until_settled(company.organization)
            (period,) = Period.objects.filter(organization_id=company.organization.id)
            if period.settled > CAP:
                break
    assert period.settled > CAP
    assert passed
