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

ROUNDS = 100
SETTLED = 0.02
SLOW = "delay=0.05"


@dataclass
class Traffic:
    """Requests without a pause, each with when it was sent and when its answer was there."""

    answers: list[tuple[float, float, int]] = field(default_factory=list)

    def between(self, first: float, last: float) -> list[int]:
        """What was answered to requests that were sent and answered in that time."""
        return [status for sent_at, answered_at, status in self.answers if first < sent_at and answered_at < last]


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


def test_a_key_revoked_amid_traffic_is_refused_at_once(company: Company, doors: Doors) -> None:
    revoked, restored = [], []
    with traffic(doors, company.key) as seen, connection.cursor() as cursor:
        for _ in range(ROUNDS):
            cursor.execute("UPDATE keys_key SET revoked_at = now() WHERE id = %s", [company.issued.record.id])
            revoked.append(rest())
            cursor.execute("UPDATE keys_key SET revoked_at = NULL WHERE id = %s", [company.issued.record.id])
            restored.append(rest())
    assert_all(seen, revoked, 401)
    assert_all(seen, restored, 200)


def test_a_cap_lowered_amid_traffic_refuses_at_once(company: Company, doors: Doors) -> None:
    budget = company.cap(10**15)
    company.chat()
    company.wait_for_ends(1)
    lowered, raised = [], []
    with traffic(doors, company.key) as seen:
        for _ in range(ROUNDS):
            change_amount(budget, amount=1, acting="test")
            lowered.append(rest())
            change_amount(budget, amount=10**15, acting="test")
            raised.append(rest())
    assert_all(seen, lowered, 402)
    assert_all(seen, raised, 200)


def rest() -> tuple[float, float]:
    """A time in which nothing changes: from the return of a commit to the beginning of the next change."""
    began = time.monotonic()
    time.sleep(SETTLED)
    return began, time.monotonic()


def assert_all(seen: Traffic, times: list[tuple[float, float]], status: int) -> None:
    answers = [answer for first, last in times for answer in seen.between(first, last)]
    assert len(answers) >= ROUNDS
    assert set(answers) == {status}, f"{sum(a != status for a in answers)} of {len(answers)} were stale"
