"""SIGTERM: what runs is finished and booked, what can't be is left to the sweeper, and the exit code tells which."""

import signal

import httpx
import pytest

from apps.budgets.models import Reservation
from tests.crash.books import Caller, check
from tests.crash.conftest import StartGateway
from tests.crash.stage import Stage, beside, eventually
from tests.gateway.company import Company
from tests.gateway.running import RunningGateway
from tests.roles.serving import is_open


def _callers(company: Company, gateway: RunningGateway, count: int) -> list[Caller]:
    company.gateway_url = gateway.url
    return [Caller(company) for _ in range(count)]


def _terminate(gateway: RunningGateway) -> None:
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGTERM)


def _exit_code(gateway: RunningGateway, seconds: float) -> int:
    assert gateway.process is not None
    return gateway.process.wait(seconds)


@pytest.mark.parametrize("processes", [1, 2])
def test_running_requests_finish_and_settle_and_new_ones_are_refused(
    stage: Stage, company: Company, start_gateway: StartGateway, processes: int
) -> None:
    gateway = start_gateway(processes=processes)
    streamed, plain = _callers(company, gateway, 2)
    running = [
        beside(lambda: streamed.send(sandbox="chunk-delay=0.08", stream=True)),
        beside(lambda: plain.send(sandbox="delay=1.2")),
    ]
    eventually(lambda: len(company.reservations()) == 2)
    _terminate(gateway)
    eventually(lambda: not is_open(gateway.port), 3)
    _terminate(gateway)
    stream, answer = (one.result() for one in running)
    assert stream.text.endswith("data: [DONE]\n\n")
    assert answer.status_code == 200
    assert _exit_code(gateway, 8) == 0
    lines = check([streamed, plain], stage.sandbox.url)
    assert [line.is_estimated for line in lines] == [False, False]


def test_what_does_not_finish_in_time_is_cut_and_booked_as_estimated(
    stage: Stage, company: Company, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(environment={"SPENDRA_DRAIN_SECONDS": "2"})
    streamed, plain = _callers(company, gateway, 2)
    running = [
        beside(lambda: streamed.send(sandbox="chunk-delay=0.3", stream=True)),
        beside(lambda: plain.send(sandbox="delay=20")),
    ]
    eventually(lambda: len(company.reservations()) == 2)
    _terminate(gateway)
    assert _exit_code(gateway, 10) == 1
    assert all(isinstance(one.result(), httpx.TransportError) for one in running)
    stage.leap()
    lines = check([streamed, plain], stage.sandbox.url)
    assert [line.is_estimated for line in lines] == [True, True]


def test_what_cannot_be_booked_in_time_is_left_to_the_sweeper_and_told(
    stage: Stage, company: Company, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(environment={"SPENDRA_DRAIN_SECONDS": "2"})
    (caller,) = _callers(company, gateway, 1)
    with caller.streaming(sandbox="chunk-delay=0.02") as answer:
        (reservation,) = Reservation.objects.filter(id=answer.headers["x-spendra-reservation"])
        with stage.locked("budgets_reservation", "id = %s", reservation.id):
            assert "data: [DONE]" in list(answer.iter_lines())
            _terminate(gateway)
            assert _exit_code(gateway, 6) == 1
    assert "left to the sweeper" in gateway.log.read_text()
    stage.leap()
    (line,) = check([caller], stage.sandbox.url)
    assert line.is_estimated
