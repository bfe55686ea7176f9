"""The load client: keep-alive connections that each send a request again as soon as the answer is whole.

`python -m bench.load URL --body … --connections 32 --watch NAME=PID` prints one JSON object. Raw asyncio on uvloop, so
that the client costs a few hundredths of a millisecond a request and leaves the machine to the target. It also reads
the CPU time of the watched processes at both ends of the measured window, so that both count the same requests.
"""

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

from bench import processes

MOST_SHOWN, KINDS_SHOWN = 300, 5  # bytes of an answer that failed, and how many different ones


@dataclass
class Measured:
    """What the connections saw between `starts_at` and `ends_at` on the monotonic clock."""

    starts_at: float
    ends_at: float
    answered: int = 0  # outside the window, too
    latencies: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)  # by status and body
    broken: int = 0

    def record(self, *, began_at: float, ended_at: float, answer: bytearray) -> None:
        self.answered += 1
        if self.starts_at <= ended_at <= self.ends_at:
            self.latencies.append(ended_at - began_at)
            if (status := int(answer[9:12])) != 200:
                body = answer.partition(b"\r\n\r\n")[2]
                self.failures[f"{status} {body[:MOST_SHOWN].decode(errors='replace')}"] += 1


class LoadConnection(asyncio.Protocol):
    """Sends a request, reads one whole answer, sends the next."""

    def __init__(self, requests: Iterator[bytes], measured: Measured, done: "asyncio.Future[None]") -> None:
        self._requests, self._measured, self._done = requests, measured, done
        self._received = bytearray()
        self._began_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transport is no instance of it
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not _is_whole(self._received):
            return
        now = time.perf_counter()
        self._measured.record(began_at=self._began_at, ended_at=now, answer=self._received)
        self._received.clear()
        if now >= self._measured.ends_at:
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if time.perf_counter() < self._measured.ends_at:
            self._measured.broken += 1
        self._done.set_result(None)

    def _send(self) -> None:
        self._began_at = time.perf_counter()
        self._transport.write(next(self._requests))


def _is_whole(received: bytearray) -> bool:
    head_end = received.find(b"\r\n\r\n")
    if head_end < 0:
        return False
    head = bytes(received[:head_end]).lower()
    start = head.find(b"\r\ncontent-length:")
    if start < 0:  # chunked
        return received.endswith(b"\r\n0\r\n\r\n")
    return len(received) >= head_end + 4 + int(head[start + 17 :].split(b"\r\n", 1)[0])


def render_request(url: str, body: bytes, headers: dict[str, str]) -> bytes:
    parts = urlsplit(url)
    lines = [f"POST {parts.path} HTTP/1.1", f"host: {parts.netloc}", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def drive(url: str, requests: list[bytes], asked: argparse.Namespace) -> dict[str, Any]:
    """`requests`, one a key, are dealt out to the connections in turn; one that gets several sends them in turn."""
    loop = asyncio.get_running_loop()
    now = time.perf_counter()
    measured = Measured(starts_at=now + asked.warmup, ends_at=now + asked.warmup + asked.seconds)
    cpu: dict[str, list[float]] = {name: [] for name, _ in asked.watch}
    for moment in (asked.warmup, asked.warmup + asked.seconds):
        loop.call_later(moment, _note_cpu, cpu, asked.watch)
    ends = [loop.create_future() for _ in range(asked.connections)]
    parts = urlsplit(url)
    for number, done in enumerate(ends):
        own = itertools.cycle(requests[number % len(requests) :: asked.connections])
        make = partial(LoadConnection, own, measured, done)
        await loop.create_connection(make, parts.hostname or "", parts.port or 80)
    await asyncio.gather(*ends)
    for answer, count in measured.failures.most_common(KINDS_SHOWN):
        print(f"bench.load: answered {count} times: {answer}", file=sys.stderr)
    return {**summarize(measured), "cpu_seconds": {name: round(end - start, 3) for name, (start, end) in cpu.items()}}


def _note_cpu(cpu: dict[str, list[float]], watched: list[tuple[str, int]]) -> None:
    for name, pid in watched:
        cpu[name].append(processes.cpu_seconds(pid))


def summarize(measured: Measured) -> dict[str, Any]:
    ordered = sorted(measured.latencies)
    return {
        "answered": measured.answered,
        "requests": len(ordered),
        "requests_per_second": len(ordered) / (measured.ends_at - measured.starts_at),
        "p50_ms": percentile(ordered, 0.50) * 1000,
        "p99_ms": percentile(ordered, 0.99) * 1000,
        "failed": measured.failures.total() + measured.broken,
    }


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def watched(text: str) -> tuple[str, int]:
    name, _, pid = text.partition("=")
    return name, int(pid)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--body", required=True)
    parser.add_argument("--header", action="append", default=[], metavar="NAME:VALUE")
    parser.add_argument("--key", action="append", default=[], help="a Bearer credential, dealt out in turn")
    parser.add_argument("--watch", action="append", default=[], type=watched, metavar="NAME=PID")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--warmup", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    return parser.parse_args()


def main() -> None:
    asked = parse_arguments()
    headers = {name: value.strip() for name, _, value in (header.partition(":") for header in asked.header)}
    requests = [
        render_request(asked.url, asked.body.encode(), {**headers, "authorization": f"Bearer {key}"})
        for key in asked.key or ["sk-canned"]
    ]
    print(json.dumps(uvloop.run(drive(asked.url, requests, asked))))


if __name__ == "__main__":
    main()
