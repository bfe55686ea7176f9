"""Daphne's web request between one connection and one run of the application."""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

from daphne.http_protocol import WebRequest

from spendra.roles.http_head import Head
from spendra.roles.lifecycle import Message

if TYPE_CHECKING:
    from spendra.roles.http_connection import Connection
    from spendra.roles.http_server import Server

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_ASGI = {"version": "3.0", "spec_version": "2.3"}
FRAMING_HEADERS = frozenset({b"content-length", b"transfer-encoding", b"connection"})


def render_head(status: int, headers: Iterable[tuple[bytes, bytes]], framing: bytes) -> bytes:
    lines = [b"%b: %b\r\n" % (name, value) for name, value in headers]
    rendered = b"".join(lines)
    if rendered.count(b"\n") != len(lines) or rendered.count(b"\r") != len(lines):
        raise ValueError("A header of the answer contains a line break")
    status_line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    return status_line + rendered + framing + b"\r\n"


class Request(WebRequest):  # type: ignore[misc]  # Daphne has no types
    channel: "Connection"
    server: "Server"
    startedWriting: int
    chunked: int

    def __init__(self, channel: "Connection", head: Head, body: bytes) -> None:
        super().__init__(channel)
        self.head = head
        self._body: bytes | None = body
        self._held_bytes = len(body)
        self.server.held_bytes += self._held_bytes
        self._response_started = False
        self._is_bodyless = head.method == "HEAD"
        self._is_over = False
        self._over: asyncio.Event | None = None
        self._keep = head.is_persistent
        self._missing: int | None = None

    def process(self) -> None:
        head = self.head
        path = head.path.decode("ascii")
        self.server.create_application(
            self,
            {
                "type": "http",
                "asgi": _ASGI,
                "http_version": "1.1" if head.is_http_1_1 else "1.0",
                "method": head.method,
                "path": unquote(path) if "%" in path else path,
                "raw_path": head.path,
                "root_path": "",
                "scheme": "http",
                "query_string": head.query,
                "headers": head.headers,
                "client": self.client,
                "server": self.host,
                "extensions": {"spendra.has_left": self.has_left},
            },
        )

    async def receive(self) -> Message:
        """The whole body first; then nothing until the client is gone or the answer is complete."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        if not self._is_over:
            self._over = self._over or asyncio.Event()
            await self._over.wait()
        return {"type": "http.disconnect"}

    def has_left(self) -> bool:
        """Whether the client is gone, as far as it is known: `receive` would wait for it, and costs a task."""
        return self._is_over

    def handle_reply(self, message: Message) -> None:
        if self._is_over:
            return
        if message["type"] == "http.response.body":
            self._write(message.get("body", b""), message.get("more_body", False))
        elif message["type"] == "http.response.start" and not self._response_started:
            self._response_started = True
            self._let_go_of_body()
            self._status = message["status"]
            self._headers = message.get("headers", ())
        else:
            raise ValueError(f"Unexpected message {message['type']}")

    def _let_go_of_body(self) -> None:
        """Who answers has sent the body on; who gave up needs it no more. A client that leaves changes nothing: a plain
        request goes on."""
        self.server.held_bytes -= self._held_bytes
        self._held_bytes = 0

    def _write(self, body: bytes, more_body: bool) -> None:
        if not self._response_started:
            raise ValueError("http.response.body came before http.response.start")
        parts = []
        if not self.startedWriting:
            parts.append(self._begin(body, more_body))
            self.startedWriting = 1
        if body and not self._is_bodyless:
            self._count(len(body))
            parts.append(b"%x\r\n%b\r\n" % (len(body), body) if self.chunked else body)
        if not more_body and self.chunked:
            parts.append(b"0\r\n\r\n")
        if parts:
            self.channel.transport.write(b"".join(parts))
        if not more_body:
            self.finish()

    def _begin(self, body: bytes, more_body: bool) -> bytes:
        headers = [header for header in self._headers if not self._is_framing(*header)]
        self._is_bodyless = self._is_bodyless or self._status in (204, 304)
        if self._missing is None and not more_body and not self._is_bodyless:
            self._missing = len(body)
        framing = self._framing()
        self._keep = self._keep and not self.server.is_draining
        return render_head(self._status, headers, framing if self._keep else framing + b"connection: close\r\n")

    def _is_framing(self, name: bytes, value: bytes) -> bool:
        name = name.lower()
        if name == b"content-length":
            self._missing = int(value)
        elif name == b"connection" and b"close" in value.lower():
            self._keep = False
        return name in FRAMING_HEADERS

    def _framing(self) -> bytes:
        if self._missing is not None:
            return b"content-length: %d\r\n" % self._missing
        if self._is_bodyless:
            return b""
        if self.head.is_http_1_1:
            self.chunked = 1
            return b"transfer-encoding: chunked\r\n"
        self._keep = False
        return b""

    def _count(self, size: int) -> None:
        if self._missing is not None:
            self._missing -= size
            if self._missing < 0:
                raise ValueError("The answer is longer than its content-length")

    def finish(self) -> None:
        is_short = self._missing and not self._is_bodyless
        self._end()
        self.channel.request_done(keep=self._keep and not is_short)

    def connectionLost(self, reason: object) -> None:
        self._end()

    def _end(self) -> None:
        self._is_over = True
        if self._over is not None:
            self._over.set()

    def abandon(self) -> None:
        """The application failed or returned too early: an answer where none has begun, else a visible break."""
        self._let_go_of_body()
        if self._is_over:
            return
        self._end()
        self.channel.request = None
        if self.startedWriting:
            self.channel.transport.abort()
        else:
            self.channel.refuse(500, "internal_error", "The server failed to answer this request.")
