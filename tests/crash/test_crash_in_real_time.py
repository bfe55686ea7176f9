"""The same without a leap of the clock: within a minute a dead process's calls are booked, a living one's are not."""

import os
import signal
import time
from concurrent.futures import Future
from functools import partial
from typing import Any

import httpx
import pytest

from tests.crash.books import Caller, check
from tests.crash.conftest import StartGateway
from tests.crash.stage import Stage, beside, eventually
from tests.gateway.company import Company
from tests.roles.commands import all_pids, parent_of

FEWEST_STREAMS = 8


@pytest.mark.system
def test_a_killed_process_is_booked_within_a_minute_and_its_siblings_long_streams_run_on(
    stage: Stage, company: Company, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(processes=2)
    company.gateway_url = gateway.url
    callers: list[Caller] = []
    streams: list[Future[Any]] = []
    while len({one.process_id for one in company.reservations()}) < 2 or len(streams) < FEWEST_STREAMS:
        callers.append(Caller(company))
        streams.append(beside(partial(callers[-1].send, sandbox="chunk-delay=0.8;tokens=60", stream=True)))
        eventually(lambda: len(company.reservations()) == len(streams))

    assert gateway.process is not None
    victim, _ = [pid for pid in all_pids() if parent_of(pid) == gateway.process.pid]
    os.kill(victim, signal.SIGKILL)
    killed_at = time.monotonic()
    broken = eventually(lambda: {n for n, stream in enumerate(streams) if stream.done()})
    time.sleep(0.5)
    broken = {n for n, stream in enumerate(streams) if stream.done()}
    assert 0 < len(broken) < len(streams)
    assert all(isinstance(streams[n].result(), httpx.TransportError) for n in broken)

    ended = eventually(lambda: [one for one in company.reservations() if one.state == "expired"], 60)
    assert 25 < time.monotonic() - killed_at < 60
    assert len(ended) == len(broken)
    assert all(stream.result().text.endswith("data: [DONE]\n\n") for n, stream in enumerate(streams) if n not in broken)
    lines = check(callers, stage.sandbox.url)
    assert sum(line.is_estimated for line in lines) == len(broken)
    assert all(len(line.entries) == 1 for line in lines), "nothing of the living process was corrected"
