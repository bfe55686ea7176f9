"""Nothing lost, nothing doubled: what the provider charged, request by request, beside what was booked."""

import itertools
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from apps.budgets import verifying
from apps.budgets.models import Reservation
from apps.catalog.estimating import MESSAGE_MARGIN, REQUEST_MARGIN
from apps.ledger.models import LedgerEntry
from tests.gateway.company import Company, body

FIRST_MARK = 1000
PATIENCE_SECONDS = 30


@dataclass
class Caller:
    """Sends requests one after another with a key of its own. The output limit, which is another each time, marks a
    request in the reservation as at the provider."""

    company: Company
    key: str = ""
    key_id: str = ""
    marks: "itertools.count[int]" = field(default_factory=lambda: itertools.count(FIRST_MARK))

    def __post_init__(self) -> None:
        issued = self.company.another_key()
        self.key, self.key_id = issued.key, issued.record.key_id

    def send(self, url: str = "", *, sandbox: str = "", stream: bool = False) -> httpx.Response:
        """The whole answer. Raises httpx.TransportError where the gateway is gone, or goes in the middle of it."""
        with self.streaming(url, sandbox=sandbox, stream=stream) as answer:
            answer.read()
            return answer

    def streaming(self, url: str = "", *, sandbox: str = "", stream: bool = True) -> Any:
        """The answer as it comes, as a context manager."""
        mark = next(self.marks)
        head = {"authorization": f"Bearer {self.key}", "x-client-request-id": f"{self.key_id}-{mark}"}
        return httpx.stream(
            "POST",
            f"{url or self.company.gateway_url}/v1/chat/completions",
            content=_body(mark, stream=stream),
            headers=head | {"content-type": "application/json"} | ({"x-sandbox": sandbox} if sandbox else {}),
            timeout=PATIENCE_SECONDS,
        )


def _body(mark: int, *, stream: bool) -> bytes:
    """As long with true as with false, so that the output limit alone tells the reservations of a key apart."""
    said = [{"role": "user", "content": "hello" if stream else "hell"}]
    return orjson.dumps(body(max_tokens=mark, stream=stream, messages=said))


_INPUT_BOUND = len(_body(FIRST_MARK, stream=True)) + REQUEST_MARGIN + MESSAGE_MARGIN


@dataclass
class Line:
    """One request: what the provider charged for it, what was reserved and booked."""

    name: str
    charged: int = 0
    is_charged: bool = False
    reservations: list[Reservation] = field(default_factory=list)
    entries: list[LedgerEntry] = field(default_factory=list)

    @property
    def booked(self) -> int:
        return sum(entry.amount_nanos for entry in self.entries)

    @property
    def is_estimated(self) -> bool:
        return bool(self.entries) and self.entries[-1].status == "estimated"

    def faults(self) -> Iterable[str]:
        if len(self.reservations) > 1:
            yield "was reserved twice"
        if any(one.state == "open" for one in self.reservations):
            yield "is open"
        if self.is_charged and not self.entries:
            yield f"was charged {self.charged} and is lost"
        if self.is_estimated and self.booked < self.charged:
            yield f"is estimated at {self.booked}, below the charge of {self.charged}"
        if not self.is_estimated and self.booked != self.charged:
            yield f"is booked at {self.booked}, charged {self.charged}"


def lines_of(callers: Iterable[Caller], sandbox_url: str) -> list[Line]:
    """Every request of the callers that reached Postgres or the provider."""
    by_name: dict[str, Line] = {}
    for charge in httpx.get(f"{sandbox_url}/charges", timeout=30).json()["by_request"].values():
        name = charge["client_request_id"]
        if name and name.rpartition("-")[0] in {caller.key_id for caller in callers}:
            line = by_name.setdefault(name, Line(name))
            assert not line.is_charged, f"{name} was sent to the provider twice"
            line.is_charged, line.charged = True, int(charge["charged_nanos"])
    for caller in callers:
        _add_booked(caller, by_name)
    return [by_name[name] for name in sorted(by_name)]


def _add_booked(caller: Caller, by_name: dict[str, Line]) -> None:
    entries = defaultdict(list)
    for entry in LedgerEntry.objects.filter(key_id=caller.key_id).order_by("booked_at", "id"):
        entries[entry.reservation_id].append(entry)
    for reservation in Reservation.objects.filter(key_id=caller.key_id).order_by("id"):
        name = f"{caller.key_id}-{reservation.amount_tokens - _INPUT_BOUND}"
        line = by_name.setdefault(name, Line(name))
        line.reservations.append(reservation)
        line.entries += entries.pop(reservation.id, [])
    assert not entries, "entries without a reservation"


def check(callers: list[Caller], sandbox_url: str, *, seconds: float = 20) -> list[Line]:
    """Waits until no reservation is open, then compares; prints how far the estimates are above the charges."""
    wait_until_none_is_open(seconds)
    lines = lines_of(callers, sandbox_url)
    assert [f"{line.name} {fault}" for line in lines for fault in line.faults()] == []
    assert list(verifying.verify()) == []
    estimated = [line for line in lines if line.is_estimated]
    above = sum(line.booked - line.charged for line in estimated)
    print(f"{len(lines)} requests, {len(estimated)} of them estimated, {above} nanos above their charges")
    return lines


def wait_until_none_is_open(seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while still_open := Reservation.objects.filter(state="open").count():
        assert time.monotonic() < deadline, f"{still_open} reservations are still open"
        time.sleep(0.05)
