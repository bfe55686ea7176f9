"""Guards docs/decisions/0002-upstream-client.md: the first event of a slow stream arrives long before the last."""

import asyncio
import time

from apps.gateway.forwarding import Upstream
from spendra.development.sandbox_provider.serving import serving

BODY = b'{"model": "gpt-4.1-mini", "stream": true, "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]}'
HEADERS = [
    (b"authorization", b"Bearer sk-sandbox"),
    (b"content-type", b"application/json"),
    (b"x-sandbox", b"chunk-delay=0.05;tokens=12"),
]


async def arrivals() -> list[float]:
    upstream = Upstream(connect_seconds=5, read_seconds=5)
    async with serving() as url, upstream.post(f"{url}/v1/chat/completions", HEADERS, BODY) as answer:
        found = [time.monotonic() async for _ in answer.chunks()]
    await upstream.close()
    return found


def test_events_arrive_as_the_provider_sends_them() -> None:
    found = asyncio.run(arrivals())
    assert len(found) >= 10
    assert found[-1] - found[0] > 0.4
