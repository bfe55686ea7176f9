"""SIGKILL of a gateway, between any two steps of a request."""

import httpx
import pytest

from apps.budgets.models import Reservation
from tests.crash.books import Caller, Line, check
from tests.crash.conftest import StartGateway
from tests.crash.full_provider import full_provider
from tests.crash.stage import Stage, beside, eventually
from tests.gateway.company import Company
from tests.gateway.running import RunningGateway


@pytest.fixture
def gateway(start_gateway: StartGateway) -> RunningGateway:
    return start_gateway()


@pytest.fixture
def caller(company: Company, gateway: RunningGateway) -> Caller:
    """One whose first request was answered and booked: its periods are open, its rules are loaded."""
    company.gateway_url = gateway.url
    caller = Caller(company)
    assert caller.send().status_code == 200
    company.wait_for_ends(1)
    return caller


def _after_the_crash(stage: Stage, caller: Caller) -> list[Line]:
    stage.leap()
    first, *rest = check([caller], stage.sandbox.url)
    assert not first.is_estimated
    return rest


def test_before_it_reserves(stage: Stage, caller: Caller, gateway: RunningGateway) -> None:
    with stage.locked("budgets_period", "organization_id = %s", caller.company.organization.id):
        waiting = beside(caller.send)
        stage.wait_for_lock_wait("budgets_reserve_v3")
        gateway.kill()
    assert isinstance(waiting.result(), httpx.TransportError)
    # The backend that waited does not know that nobody listens any more: it may still have reserved.
    for line in _after_the_crash(stage, caller):
        assert (line.is_charged, line.is_estimated) == (False, True)


def test_after_it_reserved_before_it_sent(stage: Stage, company: Company, start_gateway: StartGateway) -> None:
    with full_provider() as url:
        gateway = start_gateway(environment={"OPENAI_BASE_URL": f"{url}/v1"})
        company.gateway_url = gateway.url
        caller = Caller(company)
        waiting = beside(caller.send)
        eventually(company.reservations)
        gateway.kill()
        assert isinstance(waiting.result(), httpx.TransportError)
    stage.leap()
    (line,) = check([caller], stage.sandbox.url)
    # Nobody is left who knows that it was not sent.
    (reservation,) = line.reservations
    assert (reservation.state, line.is_charged, line.is_estimated) == ("expired", False, True)
    assert line.booked == reservation.amount_nanos


def test_after_it_reserved_while_the_provider_works(stage: Stage, caller: Caller, gateway: RunningGateway) -> None:
    before = stage.sandbox.requests()
    waiting = beside(lambda: caller.send(sandbox="delay=20"))
    eventually(lambda: stage.sandbox.requests() > before)
    gateway.kill()
    assert isinstance(waiting.result(), httpx.TransportError)
    (line,) = _after_the_crash(stage, caller)
    (reservation,) = line.reservations
    assert line.is_estimated
    assert line.booked == reservation.amount_nanos > line.charged > 0


def test_in_the_middle_of_a_stream(stage: Stage, caller: Caller, gateway: RunningGateway) -> None:
    with caller.streaming(sandbox="chunk-delay=0.1") as answer:
        events = answer.iter_lines()
        next(events)
        gateway.kill()
        with pytest.raises(httpx.TransportError):
            list(events)
    (line,) = _after_the_crash(stage, caller)
    assert line.is_estimated
    assert line.booked > line.charged > 0


@pytest.mark.parametrize("table", ["budgets_reservation", "budgets_period"])
def test_before_it_settles_an_answer_that_has_gone_out(
    stage: Stage, caller: Caller, gateway: RunningGateway, table: str
) -> None:
    with caller.streaming(sandbox="chunk-delay=0.02") as answer:
        reservation_id = answer.headers["x-spendra-reservation"]
        (reservation,) = Reservation.objects.filter(id=reservation_id)
        ids = [reservation.id] if table == "budgets_reservation" else reservation.period_ids
        with stage.locked(table, "id = ANY (%s)", ids):
            assert "data: [DONE]" in list(answer.iter_lines())
            stage.wait_for_lock_wait("budgets_settle_v2")
            gateway.kill()
    # What waited for the lock may still commit: then it is final, and the sweeper finds nothing to do.
    (line,) = _after_the_crash(stage, caller)
    assert line.booked >= line.charged > 0


def test_after_it_settled(stage: Stage, caller: Caller, gateway: RunningGateway) -> None:
    caller.send()
    caller.company.wait_for_ends(2)
    gateway.kill()
    (line,) = _after_the_crash(stage, caller)
    assert not line.is_estimated
    assert [entry.cause for entry in line.entries] == ["settled"]


def test_with_many_requests_in_every_phase(stage: Stage, company: Company, gateway: RunningGateway) -> None:
    company.gateway_url = gateway.url
    callers = [Caller(company) for _ in range(12)]
    faults = ["", "delay=5", "chunk-delay=0.03"]

    def call(number: int) -> None:
        while True:
            callers[number].send(sandbox=faults[number % 3], stream=number % 3 == 2)

    running = [beside(lambda number=number: call(number)) for number in range(len(callers))]
    eventually(lambda: len(company.entries()) > 30)
    eventually(lambda: any(one.state == "open" for one in company.reservations()))
    gateway.kill()
    assert all(isinstance(one.result(), httpx.TransportError) for one in running)
    stage.leap()
    lines = check(callers, stage.sandbox.url)
    assert {line.is_estimated for line in lines} == {True, False}


def test_a_gateway_that_comes_back_serves_and_leaves_the_dead_ones_calls_to_the_sweeper(
    stage: Stage, caller: Caller, gateway: RunningGateway
) -> None:
    before = stage.sandbox.requests()
    beside(lambda: caller.send(sandbox="delay=20"))
    eventually(lambda: stage.sandbox.requests() > before)
    gateway.kill()
    gateway.start()
    assert caller.send().status_code == 200
    dead, alive = _after_the_crash(stage, caller)
    assert (dead.is_estimated, alive.is_estimated) == (True, False)
