"""Spend that Postgres does not take is kept; once it has waited for too long, nothing new may be spent."""

import httpx

from apps.budgets.models import Reservation
from tests.crash.books import Caller, check
from tests.crash.conftest import StartGateway
from tests.crash.stage import Stage, eventually
from tests.gateway.company import Company


def test_a_settle_that_waits_for_ten_seconds_turns_the_gateway_red_until_it_has_landed(
    stage: Stage, company: Company, start_gateway: StartGateway
) -> None:
    gateway = start_gateway()
    company.gateway_url = gateway.url
    caller = Caller(company)
    with caller.streaming(sandbox="chunk-delay=0.02") as answer:
        (reservation,) = Reservation.objects.filter(id=answer.headers["x-spendra-reservation"])
        with stage.locked("budgets_reservation", "id = %s", reservation.id):
            assert "data: [DONE]" in list(answer.iter_lines())
            assert caller.send().status_code == 200
            eventually(lambda: httpx.get(f"{gateway.url}/health").status_code == 503)
            reasons = httpx.get(f"{gateway.url}/health").json()["reasons"]
            refused = caller.send()
    assert reasons == ["backlog: spend waits to be booked"]
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
    assert int(refused.headers["retry-after"]) > 0
    eventually(lambda: httpx.get(f"{gateway.url}/health").status_code == 200)
    assert caller.send().status_code == 200
    lines = check([caller], stage.sandbox.url)
    assert [line.is_estimated for line in lines] == [False, False, False]
