"""Requests are under way all the time while a rule changes: none that was sent after it is decided without it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import connection

from apps.budgets.capping import change_amount
from tests.freshness.doors import Door, Doors
from tests.gateway.company import Company

ANSWERS = 2
MOST_SECONDS = 20
SLOW = "delay=0.05"


@dataclass
class Traffic:
    """Requests without a pause, each with when it was sent and when its answer was there."""

    answers: list[tuple[float, float, int]] = field(default_factory=list)

    def between(self, first: float, last: float) -> list[int]:
        """What was answered to requests that were sent and answered in that time, one that has just gone by."""
        recent = self.answers[-200:]
        return [status for sent_at, answered_at, status in recent if first < sent_at and answered_at < last]

    def rest(self) -> list[int]:
        """Changes nothing until some requests were sent and answered; what they were answered."""
        began = time.monotonic()
        while len(answers := self.between(began, now := time.monotonic())) < ANSWERS:
            assert now - began < MOST_SECONDS, "nothing is answered"
            time.sleep(0.002)
        return answers


@contextmanager
def traffic(doors: Doors, key: str) -> Iterator[Traffic]:
    """Two callers a process: one asks and asks, the other's requests are slow, so that some are always under way."""
    seen, is_over = Traffic(), threading.Event()
    callers = [Door(door.url) for door in doors.doors for _ in range(2)]

    def ask(door: Door, sandbox: str) -> None:
        while not is_over.is_set():
            sent_at = time.monotonic()
            status = door.ask(key, sandbox=sandbox).status
            seen.answers.append((sent_at, time.monotonic(), status))
            time.sleep(0.001)

    threads = [
        threading.Thread(target=ask, args=(door, SLOW if number % 2 else "")) for number, door in enumerate(callers)
    ]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
        for door in callers:
            door.close()


def test_a_key_revoked_amid_traffic_is_refused_at_once(company: Company, doors: Doors, rounds: int) -> None:
    revoked: list[int] = []
    restored: list[int] = []
    with traffic(doors, company.key) as seen, connection.cursor() as cursor:
        for _ in range(rounds):
            cursor.execute("UPDATE keys_key SET revoked_at = now() WHERE id = %s", [company.issued.record.id])
            revoked += seen.rest()
            cursor.execute("UPDATE keys_key SET revoked_at = NULL WHERE id = %s", [company.issued.record.id])
            restored += seen.rest()
    assert set(revoked) == {401}, f"{sum(status != 401 for status in revoked)} of {len(revoked)} were stale"
    assert set(restored) == {200}, f"{sum(status != 200 for status in restored)} of {len(restored)} were stale"


def test_a_cap_lowered_amid_traffic_refuses_at_once(company: Company, doors: Doors, rounds: int) -> None:
    budget = company.cap(10**15)
    company.chat()
    company.wait_for_ends(1)
    lowered: list[int] = []
    raised: list[int] = []
    with traffic(doors, company.key) as seen:
        for _ in range(rounds):
            change_amount(budget, amount=1, acting="test")
            lowered += seen.rest()
            change_amount(budget, amount=10**15, acting="test")
            raised += seen.rest()
    assert set(lowered) == {402}, f"{sum(status != 402 for status in lowered)} of {len(lowered)} were stale"
    assert set(raised) == {200}, f"{sum(status != 200 for status in raised)} of {len(raised)} were stale"
