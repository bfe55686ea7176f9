"""Kept-alive connections to every gateway process there is, and what the processes answer when asked at once."""

import http.client
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from apps.budgets.models import Reservation
from tests.gateway.company import body
from tests.gateway.running import RunningGateway

MOST_TRIES = 200


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Door:
    """One connection: whatever it is asked, the same process answers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        self.process_id: UUID | None = None

    def send(self, key: str, *, path: str = "", sandbox: str = "", **fields: Any) -> None:
        head = {"authorization": f"Bearer {key}", "content-type": "application/json", "x-sandbox": sandbox}
        if path:
            self._connection.request("GET", path, headers=head)
        else:
            self._connection.request("POST", "/v1/chat/completions", json.dumps(body(**fields)), headers=head)

    def read(self) -> Answer:
        response = self._connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())

    def ask(self, key: str, **fields: Any) -> Answer:
        self.send(key, **fields)
        return self.read()

    def find_process(self, key: str) -> None:
        answer = self.ask(key)
        assert answer.status == 200, answer.body
        self.process_id = Reservation.objects.get(id=answer.headers["x-spendra-reservation"]).process_id

    def close(self) -> None:
        self._connection.close()


@dataclass
class Doors:
    """A door to each process. `stale` is every answer that was not the one to be expected."""

    doors: list[Door]
    stale: list[str] = field(default_factory=list)
    asked: int = 0

    def ask(self, key: str, **fields: Any) -> list[Answer]:
        """One request through each door, all under way at once, beginning with another one each time."""
        first = self.asked % len(self.doors)
        ordered = self.doors[first:] + self.doors[:first]
        for door in ordered:
            door.send(key, **fields)
        self.asked += len(self.doors)
        return [door.read() for door in ordered]

    def expect(self, status: int, key: str, **fields: Any) -> list[Answer]:
        answers = self.ask(key, **fields)
        for answer in answers:
            if answer.status != status:
                self.stale.append(f"{answer.status} for {status} in request {self.asked}: {answer.body[:200]!r}")
        return answers

    def check(self, *, asked: int) -> None:
        """All of it was asked, every process was, and no answer was stale."""
        assert self.asked >= asked * len(self.doors)
        assert not self.stale, f"{len(self.stale)} of {self.asked} answers were stale, such as {self.stale[:3]}"


@contextmanager
def open_doors(gateways: Sequence[RunningGateway], *, key: str) -> Iterator[Doors]:
    doors = [door for gateway in gateways for door in _one_a_process(gateway, key)]
    yield Doors(doors)
    for door in doors:
        door.close()


def _one_a_process(gateway: RunningGateway, key: str) -> list[Door]:
    """Who accepts a connection is the kernel's choice, so it takes some tries."""
    found: dict[UUID | None, Door] = {}
    for _ in range(MOST_TRIES):
        door = Door(gateway.url)
        door.find_process(key)
        if found.setdefault(door.process_id, door) is not door:
            door.close()
        if len(found) == gateway.processes:
            return list(found.values())
    raise AssertionError(f"{len(found)} of {gateway.processes} processes accepted {MOST_TRIES} connections")
