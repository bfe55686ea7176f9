"""Providers that answer as the sandbox does, but badly."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import orjson

from spendra.development.sandbox_provider.serving import sandbox_process

_PASSED_ON = ("content-type", "x-request-id")


class Handler(BaseHTTPRequestHandler):
    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def faulty_provider(*faults: str) -> Iterator[str]:
    """The URL (without /v1) of one that answers each request with the next of these faults of the sandbox."""
    left = list(faults)
    with sandbox_process() as sandbox_url, httpx.Client(trust_env=False) as client:

        class Faulty(Handler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                head = {name: self.headers[name] for name in ("authorization", "content-type")}
                head |= {"x-sandbox": fault} if (fault := left.pop(0)) else {}
                answer = client.post(f"{sandbox_url}{self.path}", content=body, headers=head)
                self.answer(answer.status_code, {name: answer.headers[name] for name in _PASSED_ON}, answer.content)

        with _serving(Faulty) as url:
            yield url


@contextmanager
def provider_that_charged(by_request: dict[str, Any]) -> Iterator[str]:
    """The URL of one that says these are its charges."""

    class Claiming(Handler):
        def do_GET(self) -> None:
            self.answer(200, {}, orjson.dumps({"by_request": by_request}))

    with _serving(Claiming) as url:
        yield url


@contextmanager
def _serving(handler: type[Handler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
