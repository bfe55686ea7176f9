"""HTTP/1.1 as a protocol of its own: small and fast, and free to misbehave in the ways that tests ask for."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

from spendra.development.sandbox_provider.errors import ApiError

MAX_HEAD_BYTES = 64 * 1024
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def parse_request(received: bytearray) -> tuple[Request, int] | None:
    """The first whole request and how many bytes it takes; None while some of it is still to come."""
    head_end = received.find(b"\r\n\r\n")
    if head_end < 0:
        if len(received) > MAX_HEAD_BYTES:
            raise ApiError(400, "The request's headers are too long.")
        return None
    first, *lines = received[:head_end].decode("latin-1").split("\r\n")
    try:
        method, target, _ = first.split(" ")
    except ValueError:
        raise ApiError(400, f"Not an HTTP request line: {first[:80]!r}") from None
    headers = {name.lower(): value.strip(" \t") for name, _, value in (line.partition(":") for line in lines)}
    framed = _read_body(received, head_end + 4, headers)
    if framed is None:
        return None
    body, end = framed
    return Request(method, target.partition("?")[0], headers, body), end


def _read_body(received: bytearray, start: int, headers: Mapping[str, str]) -> tuple[bytes, int] | None:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _read_chunks(received, start)
    length = headers.get("content-length", "0")
    if not length.isdigit():
        raise ApiError(400, f"content-length is not a number: {length[:20]!r}")
    end = start + int(length)
    return None if len(received) < end else (bytes(received[start:end]), end)


def _read_chunks(received: bytearray, start: int) -> tuple[bytes, int] | None:
    body = bytearray()
    while True:
        line_end = received.find(b"\r\n", start)
        if line_end < 0:
            return None
        try:
            size = int(received[start:line_end].partition(b";")[0], 16)
        except ValueError:
            raise ApiError(400, "A chunk of the request's body has no size.") from None
        end = line_end + 2 + size + 2
        if len(received) < end:
            return None
        if size == 0:
            return bytes(body), end
        body += received[line_end + 2 : end - 2]
        start = end


class Reply:
    """Where a handler writes its one answer."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    def send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """A whole answer."""
        self._connection.write(_head(status, {**headers, "content-length": str(len(body))}) + body)

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of an answer that follows piece by piece, or with a content-length of the caller's."""
        framing = {} if "content-length" in headers else {"transfer-encoding": "chunked"}
        self._connection.write(_head(status, {**headers, **framing}))

    async def write(self, data: bytes) -> None:
        """One HTTP chunk, once the peer has room for it."""
        await self.write_raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def write_raw(self, data: bytes) -> None:
        await self._connection.writable.wait()
        self._connection.write(data)
        await asyncio.sleep(0)  # each piece leaves by itself

    def end(self) -> None:
        self._connection.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Closes the connection in mid-answer."""
        self._connection.close()


Handler = Callable[[Request, Reply], Awaitable[None]]


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, _REASONS.get(status, b"Status"), lines.encode("latin-1"))


class Connection(asyncio.Protocol):
    """Serves one request after another; a client that goes away cancels the one that is being answered."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._received = bytearray()
        self._answering: asyncio.Task[None] | None = None
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transport is no instance of it

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answering is not None:
            self._answering.cancel()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._answering is None:
            self._answer_next()

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def close(self) -> None:
        self._transport.close()

    def _answer_next(self) -> None:
        try:
            parsed = parse_request(self._received)
        except ApiError as error:
            Reply(self).send(error.status, {"content-type": "application/json"}, error.body())
            self.close()
            return
        if parsed is None:
            return
        request, used = parsed
        del self._received[:used]
        self._answering = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        try:
            await self._handle(request, Reply(self))
        except BaseException:
            self.close()  # a client must not wait for what will never come
            raise
        self._answering = None
        if request.headers.get("connection", "").lower() == "close":
            self.close()
        elif self._received:
            self._answer_next()
