"""One pooled client a process. pyreqwest's own interface, since httpx on top of it costs half of a request's budget:
docs/decisions/0002-upstream-client.md."""

from collections.abc import AsyncIterator
from datetime import timedelta

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import (
    BuilderError,
    PoolTimeoutError,
    RequestError,
    RequestTimeoutError,
)
from pyreqwest.http import HeaderMap
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from spendra.kernel.errors import UpstreamBrokeOff, UpstreamFailed, UpstreamTimedOut, UpstreamUnreachable

Headers = list[tuple[bytes, bytes]]


class UpstreamAnswer:
    """The head of an answer, and its body as it comes. Leaving the context early closes the provider's connection."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self._reader = response.body_reader

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Headers:
        found = self._response.headers
        try:
            pairs = list(found.items())
        except ValueError:
            pairs = [(name, value) for name in dict.fromkeys(found.keys()) for value in _readable(found, name)]
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            while (chunk := await self._reader.read_chunk()) is not None:
                yield bytes(chunk)
        except RequestError as error:
            raise _failure(error) from error


class Upstream:
    def __init__(self, *, connect_seconds: int, read_seconds: int) -> None:
        self._client = (
            ClientBuilder()
            .no_proxy()
            .follow_redirects(False)
            .http1_only()
            .max_connections(4096)
            .pool_max_idle_per_host(1024)
            .pool_idle_timeout(timedelta(seconds=60))
            .connect_timeout(timedelta(seconds=connect_seconds))
            .read_timeout(timedelta(seconds=read_seconds))
            .build()
        )

    def post(self, url: str, headers: Headers, body: bytes) -> "_Post":
        """Sends once, never again. Entering raises UpstreamUnreachable where the provider never got it, and
        UpstreamTimedOut or UpstreamBrokeOff where it may have. pyreqwest writes headers as UTF-8: `headers` must be."""
        builder = self._client.post(url).headers([(n.decode(), v.decode()) for n, v in headers])
        # 0: otherwise the head of a stream waits until 64 kB of it have come.
        return _Post(builder.body_bytes(body).streamed_read_buffer_limit(0).build_streamed())

    async def close(self) -> None:
        await self._client.close()


class _Post:
    """One call. A class, since a generator's context costs twice as much."""

    def __init__(self, request: StreamRequest) -> None:
        self._request = request

    async def __aenter__(self) -> UpstreamAnswer:
        try:
            return UpstreamAnswer(await self._request.__aenter__())
        except (RequestError, BuilderError) as error:
            raise _failure(error) from error

    async def __aexit__(self, *_: object) -> None:
        await self._request.__aexit__(None, None, None)


def _readable(headers: HeaderMap, name: str) -> list[str]:
    """None of a header whose bytes aren't ASCII: pyreqwest gives all of the others, but not beside it."""
    try:
        return headers.getall(name)
    except ValueError:
        return []


def _failure(error: Exception) -> UpstreamFailed:
    if isinstance(error, PoolTimeoutError | BuilderError) or _failed_to_connect(error):
        return UpstreamUnreachable("The provider can't be reached. Nothing was charged; try again.")
    if isinstance(error, RequestTimeoutError):
        return UpstreamTimedOut("The provider did not answer in time. The call may have been charged.")
    return UpstreamBrokeOff("The connection to the provider broke. The call may have been charged.")


def _failed_to_connect(error: Exception) -> bool:
    """By the causes, not by the class: pyreqwest 0.15 says ConnectError and ConnectTimeoutError for everything that
    fails before the head of the answer, also when the provider has the request already
    (tests/gateway/test_which_failures_cost_nothing.py)."""
    details = getattr(error, "details", None) or {}
    return any(cause["message"] == "client error (Connect)" for cause in details.get("causes") or ())
