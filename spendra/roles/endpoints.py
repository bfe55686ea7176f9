"""The paths that a role answers in front of its application: no Host check, no session, no Django."""

import hmac
from collections.abc import Awaitable, Callable, Mapping

import orjson

from spendra.kernel.errors import Busy
from spendra.roles.lifecycle import AsgiApplication, Receive, Scope, Send
from spendra.roles.metrics import Exposition

Headers = list[tuple[bytes, bytes]]
Reasons = Callable[[], Awaitable[list[str]]]


class Routed:
    """`application` with some paths answered before it."""

    def __init__(self, application: AsgiApplication, routes: Mapping[str, AsgiApplication]) -> None:
        self._application = application
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._routes.get(scope["path"], self._application)(scope, receive, send)


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, 404, b"Not found.\n")


class Metrics:
    def __init__(self, exposition: Exposition, token: str) -> None:
        self._exposition = exposition
        self._expected = b"Bearer " + token.encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._expected is None:
            await answer(send, 404, b"Metrics are off: SPENDRA_METRICS_BEARER_TOKEN is not set.\n")
        elif not self._is_allowed(scope):
            await answer(send, 401, b"Metrics need the bearer token.\n", [(b"www-authenticate", b"Bearer")])
        else:
            await self._tell(send)

    def _is_allowed(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        return self._expected is not None and hmac.compare_digest(given, self._expected)

    async def _tell(self, send: Send) -> None:
        try:
            text = await self._exposition.text()
        except Busy as error:
            await answer(send, 503, error.message.encode())
        else:
            await answer(send, 200, text, [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")])


class Ready:
    """/health: 200, or 503 with what is missing."""

    def __init__(self, reasons: Reasons) -> None:
        self._reasons = reasons

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reasons = await self._reasons()
        body = orjson.dumps({"status": "unavailable" if reasons else "ok", "reasons": reasons})
        await answer(send, 503 if reasons else 200, body, [(b"content-type", b"application/json")])


async def alive(scope: Scope, receive: Receive, send: Send) -> None:
    """/health/live: this process answers; it says nothing about the database, whose absence no restart cures."""
    await answer(send, 200, b'{"status":"ok"}', [(b"content-type", b"application/json")])


def probes(reasons: Reasons) -> dict[str, AsgiApplication]:
    return {"/health": Ready(reasons), "/health/live": alive}


def probes_and_metrics(reasons: Reasons, token: str) -> AsgiApplication:
    """What a role answers on its metrics port."""
    return Routed(not_found, {**probes(reasons), "/metrics": Metrics(Exposition(), token)})


def early_answer(code: str, message: str) -> tuple[int, Headers, bytes]:
    """What the server says where no application is asked, in the roles that people and scrapers call."""
    return 400, [(b"content-type", b"text/plain; charset=utf-8")], f"{message}\n".encode()


async def answer(send: Send, status: int, body: bytes, headers: Headers | None = None) -> None:
    headers = headers or [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
