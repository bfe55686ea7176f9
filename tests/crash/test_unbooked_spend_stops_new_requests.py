"""Spend that Postgres does not take is kept; once it has waited for too long, nothing new may be spent."""

import httpx

from apps.budgets.models import Reservation
from tests.crash.books import Caller, check
from tests.crash.conftest import StartGateway
from tests.crash.lossy_line import LossyLine
from tests.crash.stage import Stage, eventually
from tests.gateway.company import Company, make_company


def test_spend_that_waits_for_ten_seconds_stops_whom_it_waits_for(
    stage: Stage, company: Company, start_gateway: StartGateway
) -> None:
    """Side by side, since it takes its time: one organization whose row somebody holds, and a gateway none of whose
    endings is taken."""
    with LossyLine(stage.database.url) as line:
        deaf = start_gateway(database_url=line.url)
        gateway = start_gateway()
        unheard, held, other = Caller(company), Caller(make_company(gateway.url)), Caller(make_company(gateway.url))
        unheard.send(deaf.url)
        company.wait_for_ends(1)
        with held.streaming(sandbox="chunk-delay=0.02") as answer:
            (reservation,) = Reservation.objects.filter(id=answer.headers["x-spendra-reservation"])
            with stage.locked("budgets_reservation", "id = %s", reservation.id):
                assert "data: [DONE]" in list(answer.iter_lines())
                line.lose_replies("spendra settle", 10**6)
                assert unheard.send(deaf.url).status_code == 200

                eventually(lambda: httpx.get(f"{deaf.url}/health").status_code == 503, 30)
                assert httpx.get(f"{deaf.url}/health").json()["reasons"] == ["backlog: spend waits to be booked"]
                _must_be_told_to_wait(unheard.send(deaf.url))
                _must_be_told_to_wait(held.send())
                assert other.send().status_code == 200
                assert httpx.get(f"{gateway.url}/health").status_code == 200

        line.lose_replies("spendra settle", 0)
        eventually(lambda: httpx.get(f"{deaf.url}/health").status_code == 200)
        eventually(lambda: held.send().status_code == 200)
        assert unheard.send(deaf.url).status_code == 200
        lines = check([unheard, held, other], stage.sandbox.url)
    assert [one for one in lines if one.is_estimated] == []


def _must_be_told_to_wait(refused: httpx.Response) -> None:
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
    assert int(refused.headers["retry-after"]) > 0
