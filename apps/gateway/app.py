"""The gateway as an ASGI application: routes, health, and the one place where errors become answers.

Django's request handling, its middleware and its ORM are left out of this path; nothing here hops to a thread.
"""

import hmac
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson
from django.conf import settings

from apps.gateway import errors, headers, metrics
from apps.gateway.addresses import client_address
from apps.gateway.admission import Admission
from apps.gateway.attempts import Caller
from apps.gateway.booking import Booking
from apps.gateway.chat import ChatCompletions, Line, Receive, Send
from apps.gateway.forwarding import Headers, Upstream
from apps.gateway.listing import ModelList
from apps.gateway.process import GatewayProcess
from apps.gateway.refused import Asked, Refusals
from apps.gateway.remaining import RemainingBudget
from apps.gateway.reviews import Reviews
from apps.gateway.rules_loading import EVERYBODY
from apps.gateway.rules_store import RulesStore
from apps.gateway.rules_watching import RulesWatch
from apps.gateway.seeding import Seeder
from apps.gateway.shadows import ShadowCounts
from apps.gateway.windows import PeriodBook
from spendra.kernel.errors import Busy, MethodNotAllowed, RouteNotFound, SpendraError
from spendra.kernel.ids import uuid7

log = logging.getLogger(__name__)

_ROUTES = {
    "/v1/chat/completions": "POST",
    "/v1/models": "GET",
    "/v1/spendra/budget": "GET",
    "/health": "GET",
    "/health/live": "GET",
    "/metrics": "GET",
}
_ONE_MODEL = "/v1/models/"


class Gateway:
    """One a process. `startup` before the port opens, `drain` when it closes, `shutdown` after the last request."""

    def __init__(self, *, render_metrics: Callable[[], Awaitable[bytes]]) -> None:
        self._render_metrics = render_metrics

    async def startup(self) -> None:
        url = settings.DATABASE_DIRECT_URL
        self._store = RulesStore(url)
        self._seeder = Seeder(url)
        self._booking = Booking(url, self._store)
        self._upstream = Upstream(
            connect_seconds=settings.UPSTREAM_CONNECT_TIMEOUT_SECONDS,
            read_seconds=settings.UPSTREAM_READ_TIMEOUT_SECONDS,
        )
        self._process = GatewayProcess(uuid7(), self._store, self._booking)
        self._reviews = Reviews(self._store.connection, public_url=settings.PUBLIC_URL)
        self._shadows = ShadowCounts(self._store.connection)
        self._refusals = Refusals(url)
        periods = PeriodBook(self._store.connection)
        admission = Admission(
            self._store,
            periods,
            self._seeder,
            self._booking,
            self._reviews,
            self._shadows,
            process_id=str(self._process.id),
            lifetime_seconds=settings.RESERVATION_MAX_SECONDS,
        )
        self._chat = ChatCompletions(admission, self._booking, self._upstream, self._store)
        self._models = ModelList(admission)
        self._remaining = RemainingBudget(admission, self._store, periods, self._store.connection, self._seeder)
        await self._process.start()
        with suppress(Busy):
            await self._store.reload(EVERYBODY)
        self._watch = RulesWatch(self._store)

    async def drain(self) -> None:
        self._process.drain()

    async def shutdown(self) -> None:
        """Every settle lands, or is left to the sweeper after half of the drain time: then it raises, so that the exit
        code tells."""
        given_up = await self._booking.close(settings.DRAIN_SECONDS / 2)
        await self._process.close()
        await self._upstream.close()
        await self._seeder.close()
        await self._reviews.close()
        await self._shadows.close()
        await self._refusals.close()
        await self._watch.close()
        await self._store.close()
        if given_up:
            raise RuntimeError(f"{given_up} reservations are left to the sweeper: Postgres did not take their endings")

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        request_id = uuid7().hex
        asked = Asked(request_id)
        try:
            await self._route(scope, receive, send, asked)
        except SpendraError as error:
            self._refusals.note(asked, error, self._store.now())
            metrics.requests.labels(error.code).inc()
            status, head, body = errors.answer(error, request_id)
            await _send(send, status, head + headers.governed_headers(asked.reservation_id, asked.booked_nanos), body)
        except Exception:
            metrics.requests.labels("internal_error").inc()
            log.exception("request %s failed", request_id)
            await _send(send, *errors.answer_unexpected(request_id))

    async def _route(self, scope: Any, receive: Receive, send: Send, asked: Asked) -> None:
        request_id = asked.request_id
        path = scope["path"]
        method = "GET" if path.startswith(_ONE_MODEL) else _ROUTES.get(path)
        if method is None:
            raise RouteNotFound(f"There is no {path}. This gateway serves {', '.join(_ROUTES)}.")
        if scope["method"] != method:
            raise MethodNotAllowed(f"{path} takes {method}.", details={"allow": method})
        client: Headers = scope["headers"]
        if path == "/v1/chat/completions":
            headers.check_headers(client)
            if not self._process.is_seen():
                raise Busy("this gateway has lost its database; try again")
            line = Line(receive, send, scope.get("extensions", {}).get("spendra.has_left", _never))
            outcome = await self._chat(client, _caller(scope, asked), await _body(receive), line)
            metrics.requests.labels(outcome).inc()
        elif path == "/v1/models":
            headers.check_headers(client)
            await _send_json(send, 200, await self._models(_caller(scope, asked)), request_id)
        elif path.startswith(_ONE_MODEL):
            headers.check_headers(client)
            model = await self._models.one(_caller(scope, asked), path.removeprefix(_ONE_MODEL))
            await _send_json(send, 200, model, request_id)
        elif path == "/v1/spendra/budget":
            headers.check_headers(client)
            await _send_json(send, 200, await self._remaining(_caller(scope, asked)), request_id)
        elif path == "/metrics":
            await self._metrics(client, send, request_id)
        else:
            await self._health(path, send, request_id)

    async def _health(self, path: str, send: Send, request_id: str) -> None:
        reasons = [] if path == "/health/live" else self._process.reasons_not_ready()
        status = "unavailable" if reasons else "ok"
        await _send_json(send, 503 if reasons else 200, {"status": status, "reasons": reasons}, request_id)

    async def _metrics(self, client: Headers, send: Send, request_id: str) -> None:
        expected = f"Bearer {settings.METRICS_BEARER_TOKEN}".encode()
        presented = next((value for name, value in client if name == b"authorization"), b"")
        if not settings.METRICS_BEARER_TOKEN or not hmac.compare_digest(presented, expected):
            raise RouteNotFound("There is no /metrics without its bearer token, SPENDRA_METRICS_BEARER_TOKEN.")
        body = await self._render_metrics()
        await _send(send, 200, [(b"content-type", b"text/plain; version=0.0.4"), _length(body)], body)


def _caller(scope: Any, asked: Asked) -> Caller:
    peer = scope["client"][0] if scope.get("client") else ""
    return Caller(
        presented=headers.presented_key(scope["headers"]),
        address=client_address(peer, scope["headers"]),
        asked=asked,
    )


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


def _never() -> bool:
    """Of a server that can't say whether a client has left."""
    return False


async def _send_json(send: Send, status: int, value: object, request_id: str) -> None:
    body = orjson.dumps(value)
    own = [(b"content-type", b"application/json"), (b"x-request-id", request_id.encode()), _length(body)]
    await _send(send, status, own, body)


async def _send(send: Send, status: int, head: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % len(body)
