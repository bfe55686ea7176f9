"""Thousands of bad requests leave nothing behind: no memory, no reservation, no line in the log that tells of them."""

import socket
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

from apps.keys.format import mint
from tests.bad_input.asking import CHAT, PROMPT, chat
from tests.bad_input.conftest import MAX_BODY_BYTES
from tests.gateway.company import Company
from tests.gateway.running import RunningGateway
from tests.roles.serving import status_of

GENEROUS_MIB = 40


def _resident_mib(gateway: RunningGateway) -> int:
    assert gateway.process is not None
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) // 1024


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


def test_thousands_of_bad_requests(company: Company, gateway: RunningGateway) -> None:
    _ask_all(company, 600)
    before, logged = _resident_mib(gateway), gateway.log.stat().st_size
    _ask_all(company, 3000)
    assert _resident_mib(gateway) - before < GENEROUS_MIB
    assert gateway.log.stat().st_size - logged < 10_000
    assert company.reservations() == []
