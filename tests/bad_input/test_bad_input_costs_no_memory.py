"""Thousands of bad requests leave nothing behind: no memory, no reservation, no line in the log that tells of them."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count, cycle, islice
from pathlib import Path

import httpx
import pytest

from apps.keys.format import mint
from tests.bad_input.asking import CHAT, PROMPT, chat, send
from tests.bad_input.conftest import MAX_BODY_BYTES
from tests.gateway.company import Company, body
from tests.gateway.running import RunningGateway
from tests.roles.serving import connected, read_to_end, status_of

# What is measured is none: pages come in thousands of bytes, and pools in more.
MOST_BYTES_A_REQUEST = 1_000


def _resident_bytes(gateway: RunningGateway) -> int:
    assert gateway.process is not None
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) * 1024


def _requests(company: Company) -> Iterator[bytes]:
    """Each different from all before it, so that whatever remembers names would grow."""
    for number in count():
        own, unknown = company.key, mint(live=False).key
        yield _post(f"/v1/{number}", own, b"{}")
        yield _post(CHAT, unknown, chat('"n": 1'))
        yield _post(CHAT, own, chat('"n": 1', model=f"model-{number}"))
        yield _post(CHAT, own, chat(f'"user-{number}": 1, "user-{number}": 2'))
        yield _post(CHAT, own, chat('"n": -1'), f"x-header-{number}: {number}")
        yield _post(CHAT, own, b'{"a": "' + PROMPT.encode() * 50)
        if number % 20 == 0:
            yield _post(CHAT, own, b'{"a": "' + b"\xff" * (MAX_BODY_BYTES - 100))


def _post(path: str, key: str, body: bytes, header: str = "x-none: 1") -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "host: a",
        f"authorization: Bearer {key}",
        "content-type: application/json",
        header,
    ]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


def _ask_all(company: Company, number: int) -> None:
    """One after another over one connection, which a refusal of the application does not close."""
    port = int(company.gateway_url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection, connection.makefile("rb") as received:
        for data in islice(_requests(company), number):
            connection.sendall(data)
            head = b"".join(iter(received.readline, b"\r\n"))
            assert 400 <= status_of(head) < 500
            received.read(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))


def _wire(company: Company) -> Iterator[bytes]:
    """What ends its connection, before there is a request for the application."""
    head = f"POST {CHAT} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {company.key}\r\n".encode()
    for number in count():
        yield head + b"content-length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1 + number)
        yield head + b"transfer-encoding: chunked\r\n\r\nchunk-%d\r\n" % number
        yield head + b"transfer-encoding: chunked\r\n\r\n10\r\n0123456789abcdefno-%d\r\n" % number
        yield head + b"x-header-%d: \0\r\n\r\n" % number
        yield head + b"x-header-%d : 1\r\n\r\n" % number
        yield head + b"x-header: %s\r\n\r\n" % (b"%d" % number * 40_000)
        yield b"nonsense-%d\r\n\r\n" % number


def _break_the_wire(company: Company, number: int) -> None:
    for data in islice(_wire(company), number):
        assert 400 <= send(company, data).status < 500


def _never_finish(company: Company, number: int) -> None:
    """Many at a time: each is waited for until its time is over."""
    port = int(company.gateway_url.rpartition(":")[2])
    head = f"POST {CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: 2000\r\n\r\n".encode()
    with ExitStack() as opened:
        held = [opened.enter_context(connected(port)) for _ in range(number)]
        for connection in held:
            connection.sendall(head + b" " * 1000)
        assert {status_of(read_to_end(connection)) for connection in held} == {408}


def _provoke_the_provider(company: Company, number: int) -> None:
    """Its answers broken in every way, and streams cut between any two bytes."""
    faults = ["malformed", "cut-after=0", "cut-after=2;stream", "split=1;stream", "status=500", "no-usage;stream"]
    with httpx.Client(headers={"authorization": f"Bearer {company.key}"}, timeout=20) as client:
        for fault in islice(cycle(faults), number):
            said = body(max_tokens=2, stream=fault.endswith(";stream"))
            head = {"x-sandbox": fault.removesuffix(";stream")}
            client.post(f"{company.gateway_url}{CHAT}", json=said, headers=head)


@pytest.mark.parametrize(
    ("act", "number"),
    [(_ask_all, 3000), (_break_the_wire, 1400), (_never_finish, 400), (_provoke_the_provider, 600)],
    ids=["bad requests", "a broken wire", "requests that never end", "a bad provider"],
)
def test_it_leaves_nothing_behind(
    company: Company, gateway: RunningGateway, act: Callable[[Company, int], None], number: int
) -> None:
    act(company, number)  # until the pools are full
    company.wait_for_ends(0)
    before, logged = _resident_bytes(gateway), gateway.log.stat().st_size
    act(company, number)
    company.wait_for_ends(0)
    assert (_resident_bytes(gateway) - before) / number < MOST_BYTES_A_REQUEST
    assert gateway.log.stat().st_size - logged < 10_000
    assert act is _provoke_the_provider or company.reservations() == []
