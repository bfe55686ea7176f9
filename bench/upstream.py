"""The canned upstream: one fixed answer, plain or streamed, as cheaply as Python can give it.

`python -m bench.upstream [--port N]` prints its address on one line. It reads no more of a request than
its length and whether it asks for a stream, so that what a benchmark measures is the gateway.
"""

import argparse
import asyncio
import json
from typing import cast

import uvloop

STREAM_CHUNKS = 20
ANSWER_TEXT = "Spendra reserves before it forwards and settles what was charged. " * 4
USAGE = {
    "prompt_tokens": 24,
    "completion_tokens": 60,
    "total_tokens": 84,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
IDENTITY = {
    "id": "chatcmpl-canned",
    "created": 1700000000,
    "model": "gpt-4.1-mini-2025-04-14",
    "service_tier": "default",
}


def plain_answer() -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER_TEXT}, "finish_reason": "stop"}
    body = json.dumps({**IDENTITY, "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_canned\r\n"
        b"content-length: %d\r\n\r\n" % len(body)
    ) + body


def stream_events() -> list[bytes]:
    chunk = {**IDENTITY, "object": "chat.completion.chunk"}
    size = len(ANSWER_TEXT) // STREAM_CHUNKS + 1
    pieces = [ANSWER_TEXT[start : start + size] for start in range(0, len(ANSWER_TEXT), size)]
    payloads = [
        {**chunk, "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]} for piece in pieces
    ]
    payloads.append({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    payloads.append({**chunk, "choices": [], "usage": USAGE})
    return [b"data: " + json.dumps(payload).encode() + b"\n\n" for payload in payloads] + [b"data: [DONE]\n\n"]


PLAIN = plain_answer()
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req_canned\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
STREAM_FRAMES = [b"%x\r\n%b\r\n" % (len(event), event) for event in stream_events()] + [b"0\r\n\r\n"]


class CannedConnection(asyncio.Protocol):
    def __init__(self) -> None:
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transport is no instance of it

    def data_received(self, data: bytes) -> None:
        self.received += data
        head_end = self.received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        end = head_end + 4 + _content_length(self.received[:head_end].lower())
        if len(self.received) < end:
            return
        body, self.received = self.received[head_end + 4 : end], self.received[end:]
        if b'"stream":true' in body or b'"stream": true' in body:
            self.transport.write(STREAM_HEAD)
            self.send_frame(0)
        else:
            self.transport.write(PLAIN)

    def send_frame(self, index: int) -> None:
        """One frame a turn of the loop: a client sees many small pieces, as with a real provider."""
        self.transport.write(STREAM_FRAMES[index])
        if index + 1 < len(STREAM_FRAMES):
            asyncio.get_running_loop().call_soon(self.send_frame, index + 1)


def _content_length(head: bytes) -> int:
    start = head.find(b"content-length:")
    return int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(CannedConnection, "127.0.0.1", port, backlog=1024)
    print(f"canned upstream on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    uvloop.run(serve(parser.parse_args().port))
