"""A gateway that stands still for half a minute is taken for dead; what it settles later corrects the books."""

import signal

import pytest

from tests.crash.books import Caller, check
from tests.crash.conftest import StartGateway
from tests.crash.stage import Stage, beside, eventually
from tests.gateway.company import Company


@pytest.mark.parametrize("fault", ["delay=1", "status=500;delay=1"])
def test_a_late_end_corrects_the_estimate(
    stage: Stage, company: Company, start_gateway: StartGateway, fault: str
) -> None:
    gateway = start_gateway()
    company.gateway_url = gateway.url
    caller = Caller(company)
    assert gateway.process is not None
    waiting = beside(lambda: caller.send(sandbox=fault))
    eventually(lambda: [one for one in company.reservations() if one.state == "open"])
    gateway.process.send_signal(signal.SIGSTOP)
    stage.leap()
    (reservation,) = company.wait_for_ends(1)
    assert reservation.state == "expired"
    gateway.process.send_signal(signal.SIGCONT)
    assert waiting.result().status_code == (500 if "status" in fault else 200)
    eventually(lambda: len(company.entries()) == 2)
    (line,) = check([caller], stage.sandbox.url)
    estimate, correction = line.entries
    assert (estimate.kind, estimate.status, estimate.amount_nanos) == ("charge", "estimated", reservation.amount_nanos)
    assert (correction.kind, correction.status, correction.corrects_id) == ("correction", "final", estimate.id)
    assert line.booked == line.charged
