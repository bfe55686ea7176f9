"""The life of one governed request: docs/architecture.md has the picture."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from django.conf import settings

from apps.gateway import costing, errors, headers, metrics, refused_accounts
from apps.gateway.admission import Admission, Admitted
from apps.gateway.answers import read_plain
from apps.gateway.attempts import Caller
from apps.gateway.booking import Booking, Spent, ending_of
from apps.gateway.estimates import default_output_limit
from apps.gateway.forwarding import Headers, Upstream, UpstreamAnswer
from apps.gateway.parsing import ChatRequest, parse_chat_request
from apps.gateway.refused import Asked
from apps.gateway.refused_accounts import RefusedAccounts
from apps.gateway.rules_store import RulesStore
from apps.gateway.splicing import splice
from apps.gateway.sse import SseTap
from apps.providers import adapters
from apps.providers.credentials import resolve
from spendra.kernel.errors import UpstreamFailed, UpstreamMalformed, UpstreamUnreachable

log = logging.getLogger(__name__)

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MAX_PLAIN_ANSWER_BYTES = 64 * 2**20


class Line(NamedTuple):
    """The way to the client."""

    receive: Receive
    send: Send
    has_left: Callable[[], bool]


class ChatCompletions:
    """POST /v1/chat/completions: authenticate, parse, admit, forward, settle."""

    provider = "openai"

    def __init__(self, admission: Admission, booking: Booking, upstream: Upstream, store: RulesStore) -> None:
        self._admission = admission
        self._booking = booking
        self._upstream = upstream
        self._store = store
        self._refused_accounts = RefusedAccounts()

    async def __call__(self, client: Headers, caller: Caller, body: bytes, line: Line) -> str:
        """Answers, and leaves nothing reserved; returns how it ended, for the metrics. Raises SpendraError as long as
        no answer has begun."""
        started = time.perf_counter()
        headers.require_json(client)
        known = await self._admission.authenticate(caller)
        caller.asked.provider = self.provider
        request = parse_chat_request(body)
        caller.asked.model = request.model
        admitted = await self._admission.admit(caller, known, request, provider=self.provider)
        metrics.admission_seconds.observe(time.perf_counter() - started)
        call = _Call(self, request, admitted, line, caller.asked)
        del body, request  # `call` lets go of them once they are sent
        return await call.run(client)


class _Call:
    """One request after its admission. It ends its reservation exactly once, whatever happens to it."""

    def __init__(
        self, chat: ChatCompletions, request: ChatRequest, admitted: Admitted, line: Line, asked: Asked
    ) -> None:
        self._booking = chat._booking
        self._upstream = chat._upstream
        self._store = chat._store
        self._refused_accounts = chat._refused_accounts
        self._request = request
        self._admitted = admitted
        self._line = line
        self._send = line.send
        self._asked = asked
        self._request_id = asked.request_id
        self._reservation_header = (b"x-spendra-reservation", admitted.reservation["id"].encode())
        asked.reservation_id = admitted.reservation["id"]
        self._outcome = "answered"
        self._has_ended = False
        self._was_sent = False
        self._tap: SseTap | None = None

    async def run(self, client: Headers) -> str:
        """A client that has left already costs nothing: nothing is sent. One that leaves a stream cancels the
        provider's work and pays for what was seen. A plain answer is waited for: the provider charges for all of it."""
        if self._line.has_left():
            self._void()
            return "client_gone"
        watcher = _cancel_when_gone(self._line.receive) if self._request.stream else None
        try:
            await self._forward(client)
        except asyncio.CancelledError:
            if watcher is None or not watcher.done():
                raise
            self._outcome = "client_gone"
        finally:
            if watcher is not None:
                watcher.cancel()
            self._end_as_seen()
        return self._outcome

    async def _forward(self, client: Headers) -> None:
        route = self._admitted.route
        secret = resolve(route.account.credential_reference)
        url = adapters.chat_url(route.provider, route.account.base_url or self._default_base_url())
        sent = headers.upstream_headers(client, credentials=adapters.credential_header(route.provider, secret))
        body = splice(
            self._request,
            include_usage=True,
            output_limit=default_output_limit(route, self._request),
            output_limit_key=adapters.adapter(route.provider).output_limit_key,
        )
        post = self._upstream.post(url, sent, body)
        del body
        self._request.forget_content()
        started = time.perf_counter()
        self._was_sent = True
        try:
            async with post as answer:
                metrics.upstream_seconds.observe(time.perf_counter() - started)
                await self._pass_on(answer)
        except UpstreamUnreachable:
            self._was_sent = False
            raise

    def _default_base_url(self) -> str:
        return str(settings.PROVIDER_BASE_URLS.get(self._admitted.route.provider, ""))

    async def _pass_on(self, answer: UpstreamAnswer) -> None:
        if answer.status >= 300:
            await self._pass_on_refusal(answer)
        elif self._request.stream and headers.is_event_stream(answer.headers):
            await self._pass_on_stream(answer)
        else:
            await self._pass_on_plain(answer)

    async def _pass_on_refusal(self, answer: UpstreamAnswer) -> None:
        """An error of the provider, or of a proxy in front of it, which can't know what the provider did."""
        if answer.status < 400:
            self._void()
            raise UpstreamMalformed("The provider answered with a redirect, which is not followed.")
        body = await _whole(answer)  # one that breaks off leaves as much open as a proxy's word
        if answer.status in costing.MAY_HAVE_WORKED:
            self._settle(costing.reserved(self._admitted))
        else:
            self._void()
        if answer.status in refused_accounts.STATUSES:
            await self._answer_refused_account(answer, body)
        else:
            booked = headers.governed_headers("", self._asked.booked_nanos)
            await self._answer(answer, body, [(b"x-spendra-error-source", b"provider"), *booked])

    async def _answer_refused_account(self, answer: UpstreamAnswer, body: bytes) -> None:
        error = self._refused_accounts.error(self._admitted.route, answer.status, body)
        self._outcome = error.code
        status, head, said = errors.answer(error, self._request_id)
        head += [self._reservation_header, *headers.upstream_request_id(answer.headers)]
        await self._send({"type": "http.response.start", "status": status, "headers": head})
        await self._send({"type": "http.response.body", "body": said})

    async def _pass_on_plain(self, answer: UpstreamAnswer) -> None:
        body = await _whole(answer)
        spent = costing.cost_of(self._admitted, self._request, read_plain(body), self._store.now())
        try:
            await self._answer(answer, body, [headers.cost_header(spent.cost_nanos)])
        finally:
            self._settle(spent)

    async def _answer(self, answer: UpstreamAnswer, body: bytes, more: Headers) -> None:
        head = self._head(answer)
        head += [*more, (b"content-length", str(len(body)).encode())]
        await self._send({"type": "http.response.start", "status": answer.status, "headers": head})
        await self._send({"type": "http.response.body", "body": body})

    def _head(self, answer: UpstreamAnswer) -> Headers:
        own = (b"x-request-id", self._request_id.encode())
        return [*headers.client_headers(answer.headers), own, self._reservation_header]

    async def _pass_on_stream(self, answer: UpstreamAnswer) -> None:
        """Bytes go on as they come."""
        self._tap = SseTap(hide_usage=not self._request.include_usage)
        await self._send({"type": "http.response.start", "status": answer.status, "headers": self._head(answer)})
        await self._copy(answer, self._tap)

    async def _copy(self, answer: UpstreamAnswer, tap: SseTap) -> None:
        failure: UpstreamFailed | None = None
        try:
            async for chunk in answer.chunks():
                if passed := tap.feed(chunk):
                    await self._send({"type": "http.response.body", "body": passed, "more_body": True})
            rest = tap.finish()
            if not tap.has_seen_events:
                failure = UpstreamMalformed("The provider's answer holds no event. Try again; check the base URL.")
        except UpstreamFailed as error:
            failure = error
            tap.finish()
            rest = b""  # half an event can't be read
        if failure is not None:
            # The status line has gone out long ago: an error event is what SDKs still understand.
            self._outcome = failure.code
            rest += errors.stream_event(failure)
        # Before the last byte, so that who reads the whole stream and then the ledger finds it booked or under way.
        self._end_as_seen()
        await self._send({"type": "http.response.body", "body": rest})

    def _end_as_seen(self) -> None:
        """By what is known at this moment; nothing where the reservation has ended already."""
        if self._has_ended:
            return
        if not self._was_sent:
            self._void()
            return
        try:
            spent = self._cost_as_seen()
        except Exception:
            log.exception("reservation %s is booked as reserved", self._admitted.reservation["id"])
            spent = costing.reserved(self._admitted)
        self._settle(spent)

    def _cost_as_seen(self) -> Spent:
        if self._tap is None:
            return costing.reserved(self._admitted)
        return costing.cost_of(self._admitted, self._request, self._tap.answer, self._store.now())

    def _settle(self, spent: Spent) -> None:
        self._has_ended = True
        self._asked.booked_nanos = spent.cost_nanos
        _count_irregular(self._admitted, spent)
        self._booking.end(ending_of(self._admitted.reservation, kind="settle", spent=spent))

    def _void(self) -> None:
        self._has_ended = True
        self._booking.void(self._admitted.reservation)


def _count_irregular(admitted: Admitted, spent: Spent) -> None:
    if spent.cost_nanos > admitted.estimate.nanos:
        metrics.irregular_bookings.labels("overage").inc()
    if spent.doubt:
        metrics.irregular_bookings.labels(spent.doubt).inc()


def _cancel_when_gone(receive: Receive) -> "asyncio.Task[None]":
    """Done, and the calling task cancelled, once the client has closed its connection."""
    streaming = asyncio.current_task()

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        if streaming is not None:
            streaming.cancel()

    return asyncio.create_task(watch())


async def _whole(answer: UpstreamAnswer) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in answer.chunks():
        size += len(chunk)
        if size > MAX_PLAIN_ANSWER_BYTES:
            raise UpstreamMalformed("The provider's answer is larger than 64 MiB.")
        parts.append(chunk)
    return b"".join(parts)
