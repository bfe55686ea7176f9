"""The load client: keep-alive connections that each send the same request again as soon as the answer is whole.

`python -m bench.load URL --connections 32 --seconds 5 …` prints one JSON object. Raw asyncio on uvloop, so that the
client costs a few hundredths of a millisecond a request and the target gets the rest of the machine.
"""

import argparse
import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import uvloop


@dataclass
class Measured:
    """What the connections saw between `starts_at` and `ends_at` on the monotonic clock."""

    starts_at: float
    ends_at: float
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0

    def record(self, *, began_at: float, ended_at: float, status: int) -> None:
        if self.starts_at <= began_at and ended_at <= self.ends_at:
            self.latencies.append(ended_at - began_at)
            self.statuses[status] += 1


class LoadConnection(asyncio.Protocol):
    """Sends a request, reads one whole answer, sends the next."""

    def __init__(self, requests: Iterator[bytes], measured: Measured, done: "asyncio.Future[None]") -> None:
        self.requests, self.measured, self.done = requests, measured, done
        self.received = bytearray()
        self.scanned = 0
        self.began_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self._is_whole():
            return
        now = time.perf_counter()
        status = int(self.received[9:12])
        self.measured.record(began_at=self.began_at, ended_at=now, status=status)
        self.received.clear()
        if now >= self.measured.ends_at:
            self.transport.close()
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if time.perf_counter() < self.measured.ends_at:
            self.measured.broken += 1
        if not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        self.began_at = time.perf_counter()
        self.transport.write(next(self.requests))

    def _is_whole(self) -> bool:
        head_end = self.received.find(b"\r\n\r\n")
        if head_end < 0:
            return False
        head = bytes(self.received[:head_end]).lower()
        start = head.find(b"\r\ncontent-length:")
        if start < 0:  # chunked
            return self.received.endswith(b"\r\n0\r\n\r\n")
        return len(self.received) >= head_end + 4 + int(head[start + 17 :].split(b"\r\n", 1)[0])


def render_request(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    parts = urlsplit(url)
    lines = [f"POST {parts.path} HTTP/1.1", f"host: {parts.netloc}", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def drive(url: str, requests: list[bytes], *, connections: int, warmup: float, seconds: float) -> Measured:
    """Each connection keeps to one of `requests`, dealt out in turn: one request a key spreads the load over keys."""
    loop = asyncio.get_running_loop()
    now = time.perf_counter()
    measured = Measured(starts_at=now + warmup, ends_at=now + warmup + seconds)
    parts = urlsplit(url)
    ends: list[asyncio.Future[None]] = []
    for request, _ in zip(itertools.cycle(requests), range(connections), strict=False):
        done: asyncio.Future[None] = loop.create_future()
        ends.append(done)
        await loop.create_connection(
            lambda request=request, done=done: LoadConnection(itertools.repeat(request), measured, done),
            parts.hostname,
            parts.port,
        )
    await asyncio.gather(*ends)
    return measured


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def summarize(measured: Measured) -> dict[str, object]:
    ordered = sorted(measured.latencies)
    if not ordered:
        return {"requests": 0, "statuses": {}, "broken": measured.broken}
    return {
        "requests": len(ordered),
        "requests_per_second": round(len(ordered) / (measured.ends_at - measured.starts_at), 1),
        "p50_ms": round(percentile(ordered, 0.50) * 1000, 3),
        "p99_ms": round(percentile(ordered, 0.99) * 1000, 3),
        "statuses": {str(status): count for status, count in sorted(measured.statuses.items())},
        "broken": measured.broken,
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--body", required=True)
    parser.add_argument("--header", action="append", default=[], metavar="NAME:VALUE")
    parser.add_argument("--key", action="append", default=[], help="one Authorization a connection, dealt out in turn")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--warmup", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    return parser.parse_args()


def main() -> None:
    asked = parse_arguments()
    headers = dict(header.split(":", 1) for header in asked.header)
    requests = [
        render_request(asked.url, asked.body.encode(), {**headers, "authorization": f"Bearer {key}"})
        for key in asked.key or ["sk-canned"]
    ]
    measured = uvloop.run(
        drive(asked.url, requests, connections=asked.connections, warmup=asked.warmup, seconds=asked.seconds)
    )
    print(json.dumps(summarize(measured)))


if __name__ == "__main__":
    main()
