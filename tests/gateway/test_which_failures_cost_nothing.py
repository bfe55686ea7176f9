"""Only a request that the provider never got costs nothing for sure; every other failure may have been charged."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from apps.gateway.forwarding import Upstream
from spendra.development.embedded_postgres.ports import free_port
from spendra.kernel.errors import UpstreamBrokeOff, UpstreamFailed, UpstreamTimedOut, UpstreamUnreachable
from tests.crash.full_provider import full_provider

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _close_after_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def _reset_after_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()


async def _answer_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"nonsense\r\n\r\n")
    writer.close()


async def _never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _stop_in_the_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc")
    await reader.read()
    writer.close()


@contextlib.asynccontextmanager
async def _provider(behaviour: Behaviour) -> AsyncIterator[str]:
    server = await asyncio.start_server(behaviour, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def _post(url: str) -> None:
    upstream = Upstream(connect_seconds=1, read_seconds=2)
    try:
        async with upstream.post(url, [], b"{}") as answer:
            [chunk async for chunk in answer.chunks()]
    finally:
        await upstream.close()


def _failure_at(behaviour: Behaviour) -> UpstreamFailed:
    async def run() -> None:
        async with _provider(behaviour) as url:
            await _post(url)

    with pytest.raises(UpstreamFailed) as caught:
        asyncio.run(run())
    return caught.value


def test_a_refused_connection_was_not_sent() -> None:
    with pytest.raises(UpstreamUnreachable):
        asyncio.run(_post(f"http://127.0.0.1:{free_port()}"))


def test_a_connection_that_is_never_accepted_was_not_sent() -> None:
    with full_provider() as url, pytest.raises(UpstreamUnreachable):
        asyncio.run(_post(url))


@pytest.mark.parametrize("behaviour", [_close_after_request, _reset_after_request, _answer_nonsense])
def test_a_connection_that_breaks_after_the_request_may_have_been_charged(behaviour: Behaviour) -> None:
    assert type(_failure_at(behaviour)) is UpstreamBrokeOff


@pytest.mark.parametrize("behaviour", [_never_answer, _stop_in_the_body])
def test_silence_after_the_request_may_have_been_charged(behaviour: Behaviour) -> None:
    assert type(_failure_at(behaviour)) is UpstreamTimedOut
