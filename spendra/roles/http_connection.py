"""One client connection on uvloop's own transport, in place of Twisted's HTTP channel.

It reads one request at a time (head, body, answering) and enforces every limit before the application hears of the
request. A refused connection lingers: what still comes is thrown away, so that the answer is not lost in a reset.
"""

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.web.http import _ChunkedTransferDecoder, _MalformedChunkedDataError

from spendra.roles.http_head import Head, HeadRefused, HeadTooLarge, check_first_line, parse_head
from spendra.roles.http_request import FRAMING_HEADERS, Request, render_head
from spendra.roles.lifecycle import AsgiApplication

if TYPE_CHECKING:
    from spendra.roles.http_server import Server

Headers = list[tuple[bytes, bytes]]
# From a code and a message; the status that counts is the server's own, which also knows 431.
EarlyAnswer = Callable[[str, str], tuple[int, Headers, bytes]]

_NEVER = float("inf")
_LINGER_SECONDS = 5.0
_PIPELINED_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    max_body_bytes: int
    body_seconds: float
    # Of all bodies together, from their first byte until the application answers: many half-sent ones must not fill the
    # memory, nor many that wait for their provider.
    max_bodies_bytes: int = 256 * 2**20
    max_head_bytes: int = 32 * 1024
    max_headers: int = 100
    head_seconds: float = 10.0
    idle_seconds: float = 75.0
    stalled_reader_seconds: float = 120.0

    @property
    def max_chunked_bytes(self) -> int:
        """On the wire: chunks of a few bytes each would make a body cost far more time than its size."""
        return self.max_body_bytes + self.max_body_bytes // 4 + 64 * 1024


def _address(name: Any) -> list[Any]:
    # None where the client was gone again before it was accepted; IPv6 names have four parts.
    return list(name[:2]) if name else ["", 0]


class State(enum.Enum):
    HEAD = enum.auto()
    BODY = enum.auto()
    ANSWERING = enum.auto()
    LEAVING = enum.auto()


class Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, server: "Server", application: AsgiApplication) -> None:
        self.server = server
        self.application = application
        self.limits = server.limits
        self.state = State.HEAD
        self.deadline = server.now + self.limits.head_seconds
        self.stall_deadline = _NEVER
        self.writable: asyncio.Event | None = None
        self.request: Request | None = None
        self._unread = b""
        self._body: list[bytes] = []
        self._body_bytes = 0

    @property
    def factory(self) -> "Connection":
        """Daphne's request reaches its server as channel.factory.server."""
        return self

    @property
    def is_idle(self) -> bool:
        return self.state is State.HEAD and not self._unread

    def getPeer(self) -> list[Any]:
        return self._peer

    def getHost(self) -> list[Any]:
        return self._host

    # The event loop calls these.

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._peer = _address(transport.get_extra_info("peername"))
        self._host = _address(transport.get_extra_info("sockname"))
        self.server.open_connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self.state is State.HEAD:
            self._read_head(self._unread + data if self._unread else data)
        elif self.state is State.BODY:
            self._read_body(data)
        elif self.state is State.ANSWERING:
            self._unread += data
            if len(self._unread) > _PIPELINED_BYTES:
                self.transport.pause_reading()

    def pause_writing(self) -> None:
        self.writable = asyncio.Event()
        self.stall_deadline = self.server.now + self.limits.stalled_reader_seconds

    def resume_writing(self) -> None:
        if self.writable is not None:
            self.writable.set()
        self.writable = None
        self.stall_deadline = _NEVER

    def connection_lost(self, error: Exception | None) -> None:
        self.state = State.LEAVING
        self._release()
        self.server.connection_ended(self)
        self.resume_writing()
        if self.request is not None:
            self.request.connectionLost(error)

    # The server calls this every tick.

    def check_deadlines(self, now: float) -> None:
        if now > self.stall_deadline or (now > self.deadline and self.state is State.LEAVING):
            self.transport.abort()
        elif now > self.deadline:
            if self.is_idle:
                self.close()
            else:
                self.refuse(408, "request_timed_out", "The request did not arrive in time.")

    # Reading.

    def _read_head(self, data: bytes) -> None:
        data = data.lstrip(b"\r\n") if data.startswith(b"\r\n") else data
        end = data.find(b"\r\n\r\n")
        try:
            if max(end, len(data) if end < 0 else 0) > self.limits.max_head_bytes:
                raise HeadTooLarge(f"The head of the request is larger than {self.limits.max_head_bytes} bytes.")
            if end < 0:
                self._await_rest_of_head(data)
                return
            head = parse_head(data[:end], max_headers=self.limits.max_headers)
        except HeadRefused as refusal:
            self.refuse(refusal.status, refusal.code, refusal.message)
            return
        self._begin_body(head, data[end + 4 :])

    def _await_rest_of_head(self, data: bytes) -> None:
        check_first_line(data)
        if data and not self._unread:
            self.deadline = self.server.now + self.limits.head_seconds
        self._unread = data

    def _begin_body(self, head: Head, rest: bytes) -> None:
        length = head.content_length
        if length > self.limits.max_body_bytes:
            self._refuse_size()
        elif length <= len(rest) and not head.is_chunked:
            self._start(head, rest[:length], rest[length:])
        else:
            self.state = State.BODY
            self.deadline = self.server.now + self.limits.body_seconds
            self._head = head
            self._wire_bytes, self._unread = 0, b""
            self._decoder = _ChunkedTransferDecoder(self._take, self._end_chunked) if head.is_chunked else None
            if head.expects_continue and not rest:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._read_body(rest)

    def _read_body(self, data: bytes) -> None:
        if self._decoder is not None:
            self._read_chunks(self._decoder, data)
            return
        self._take(data)
        length = self._head.content_length
        if self._body_bytes >= length:
            body = b"".join(self._body)
            self._start(self._head, body[:length], body[length:])
        else:
            self._refuse_where_full()

    def _refuse_where_full(self) -> None:
        if self.server.held_bytes > self.limits.max_bodies_bytes:
            self._refuse_for_now()

    def _refuse_for_now(self) -> None:
        self.refuse(503, "busy", "Too many large requests are being handled at this moment; try again.")

    def _take(self, data: bytes) -> None:
        self._body.append(data)
        self._body_bytes += len(data)
        self.server.held_bytes += len(data)

    def _release(self) -> None:
        self.server.held_bytes -= self._body_bytes
        self._body, self._body_bytes = [], 0

    def _read_chunks(self, decoder: _ChunkedTransferDecoder, data: bytes) -> None:
        self._wire_bytes += len(data)
        try:
            decoder.dataReceived(data)
        except _MalformedChunkedDataError:
            self.refuse(400, "request_malformed", "The chunked body is malformed.")
            return
        too_large = self._body_bytes > self.limits.max_body_bytes or self._wire_bytes > self.limits.max_chunked_bytes
        if self.state is State.BODY and too_large:
            self._refuse_size()
        elif self.state is State.BODY:
            self._refuse_where_full()

    def _end_chunked(self, rest: bytes) -> None:
        if self._body_bytes > self.limits.max_body_bytes:
            self._refuse_size()
        else:
            self._start(self._head, b"".join(self._body), rest)

    def _start(self, head: Head, body: bytes, rest: bytes) -> None:
        self._release()
        if body and self.server.held_bytes + len(body) > self.limits.max_bodies_bytes:
            self._refuse_for_now()
            return
        self.state = State.ANSWERING
        self.deadline = _NEVER
        self._unread = rest
        self.request = Request(self, head, body)
        self.request.process()

    # Ending an answer.

    def request_done(self, *, keep: bool) -> None:
        self.request = None
        if not keep:
            self.close()
        elif self.state is State.ANSWERING:
            self.state = State.HEAD
            self.deadline = self.server.now + self.limits.idle_seconds
            if self._unread:
                self._read_pipelined()

    def _read_pipelined(self) -> None:
        data, self._unread = self._unread, b""
        if len(data) > _PIPELINED_BYTES:
            self.transport.resume_reading()
        self._read_head(data)

    def close(self) -> None:
        """Closes once everything written has left; a client that stops reading is cut in the end."""
        self.state = State.LEAVING
        self.deadline = self.server.now + self.limits.stalled_reader_seconds
        self.transport.close()

    def refuse(self, status: int, code: str, message: str) -> None:
        _, headers, body = self.server.early_answer(code, message)
        ours = [header for header in headers if header[0].lower() not in FRAMING_HEADERS]
        framing = b"content-length: %d\r\nconnection: close\r\n" % len(body)
        self.transport.write(render_head(status, ours, framing) + body)
        self.state = State.LEAVING
        self.deadline = self.server.now + _LINGER_SECONDS
        self._unread = b""
        self._release()
        self.transport.write_eof()

    def _refuse_size(self) -> None:
        limit = self.limits.max_body_bytes
        self.refuse(413, "request_too_large", f"The request's body is larger than {limit} bytes.")
