"""The ASGI server of the serving roles: Daphne on uvloop, with limits, back-pressure and a drain.

Daphne's Server and WebRequest stay; Twisted's transport and HTTP channel are replaced by `http_connection`, which costs
a ninth of the processor time and knows limits that Twisted has not.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import uvloop
from twisted.internet import asyncioreactor

# Daphne installs a reactor on the default asyncio loop at import, unless there is one already.
_loop = uvloop.new_event_loop()
asyncioreactor.install(_loop)  # type: ignore[no-untyped-call]

from daphne.server import Server as DaphneServer  # noqa: E402
from twisted.internet import reactor as twisted_reactor  # noqa: E402
from twisted.logger import STDLibLogObserver, globalLogBeginner  # noqa: E402

from spendra.roles import early_signals  # noqa: E402
from spendra.roles.http_connection import Connection, EarlyAnswer, Limits  # noqa: E402
from spendra.roles.http_request import Request  # noqa: E402
from spendra.roles.lifecycle import AsgiApplication, Lifecycle, Message, Scope  # noqa: E402

reactor: Any = twisted_reactor  # its type knows only the interface that all reactors share
logger = logging.getLogger(__name__)

_TICK_SECONDS = 0.5
_BACKLOG = 1024


class Site(NamedTuple):
    """A bound socket and what answers there."""

    listener: socket.socket
    application: AsgiApplication


class Server(DaphneServer):  # type: ignore[misc]  # Daphne has no types
    def __init__(
        self,
        lifecycles: Sequence[Lifecycle],
        *,
        sites: Sequence[Site],
        limits: Limits,
        early_answer: EarlyAnswer,
        drain_seconds: float,
    ) -> None:
        super().__init__(sites[0].application, endpoints=[site.listener for site in sites])
        self.lifecycles = lifecycles
        self.sites = sites
        self.limits = limits
        self.early_answer = early_answer
        self.drain_seconds = drain_seconds
        self.connections: dict[Request, dict[str, object]] = {}
        self.open_connections: set[Connection] = set()
        self._acceptors: list[asyncio.AbstractServer] = []
        self.held_bytes = 0  # of bodies: see Limits.max_bodies_bytes
        self.is_draining = False
        self._stop_requested = asyncio.Event()
        self._something_ended = asyncio.Event()
        self.loop: asyncio.AbstractEventLoop = _loop
        self.now = self.loop.time()

    # What the command calls.

    def run(self) -> int:
        """Serves until SIGTERM or SIGINT. The exit code: 0 drained, 1 failed to start or cut at the deadline."""
        globalLogBeginner.beginLoggingTo([cast(Any, STDLibLogObserver())], redirectStandardIO=False, discardBuffer=True)
        asyncio.set_event_loop(self.loop)
        task = self.loop.create_task(self._serve())
        reactor.run(installSignalHandlers=False)
        return task.result()

    def stop(self) -> None:
        self._stop_requested.set()

    # The life of the process.

    async def _serve(self) -> int:
        self._take_signals()
        try:
            if await self._finished_before_stop(self._start()):
                await self._listen()
                await self._stop_requested.wait()
                return await self._drain()
            return 0
        except Exception:
            logger.exception("The server stopped because of an error")
            return 1
        finally:
            reactor.stop()

    def _take_signals(self) -> None:
        """In the running loop: uvloop forgets what comes between a handler and its first turn."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self.stop)
        if early_signals.has_come():
            self.stop()

    async def _start(self) -> None:
        for lifecycle in self.lifecycles:
            await lifecycle.startup()

    async def _finished_before_stop(self, work: Coroutine[Any, Any, None]) -> bool:
        task = self.loop.create_task(work)
        stop = self.loop.create_task(self._stop_requested.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if task.done():
            task.result()
            return True
        task.cancel()
        await asyncio.wait({task})
        return False

    async def _listen(self) -> None:
        for site in self.sites:
            make = partial(Connection, self, site.application)
            self._acceptors.append(await self.loop.create_server(make, sock=site.listener, backlog=_BACKLOG))
            logger.info("Listening on %s:%s, pid: %d", *site.listener.getsockname()[:2], os.getpid())
        self._tick()

    def _tick(self) -> None:
        """The clock of all deadlines: coarse, so that a request costs no timer of its own."""
        self.now = self.loop.time()
        for connection in list(self.open_connections):
            connection.check_deadlines(self.now)
        self.loop.call_later(_TICK_SECONDS, self._tick)

    async def _drain(self) -> int:
        self.is_draining = True
        for acceptor in self._acceptors:
            acceptor.close()
        logger.info("Draining %d running requests", len(self.connections))
        deadline = self.loop.time() + self.drain_seconds
        was_cut = await self._drain_requests()
        try:
            async with asyncio.timeout_at(deadline):
                for lifecycle in reversed(self.lifecycles):
                    await lifecycle.shutdown()
        except TimeoutError:
            logger.error("The application did not finish within %s seconds", self.drain_seconds)
            return 1
        return 1 if was_cut else 0

    async def _drain_requests(self) -> bool:
        try:
            # The last fifth of the time is for settling what was cut.
            async with asyncio.timeout(self.drain_seconds * 0.8):
                for lifecycle in self.lifecycles:
                    await lifecycle.drain()
                while self.connections or not all(connection.is_idle for connection in self.open_connections):
                    await self._next_end()
                for connection in list(self.open_connections):
                    connection.close()
                while self.open_connections:
                    await self._next_end()
        except TimeoutError:
            self._cut()
            return True
        return False

    async def _next_end(self) -> None:
        self._something_ended.clear()
        await self._something_ended.wait()

    def _cut(self) -> None:
        logger.error("Cutting %d requests that did not finish in time", len(self.connections))
        self.kill_all_applications()
        for connection in list(self.open_connections):
            connection.transport.abort()

    # Called by connections and requests.

    def connection_ended(self, connection: Connection) -> None:
        self.open_connections.discard(connection)
        self._something_ended.set()

    def create_application(self, protocol: Request, scope: Scope) -> None:
        task = self.loop.create_task(self._run_application(protocol, scope))
        self.connections[protocol]["application_instance"] = task

    async def _run_application(self, protocol: Request, scope: Scope) -> None:
        try:
            await protocol.channel.application(scope, protocol.receive, partial(self.handle_reply, protocol))
        except Exception:
            logger.exception("The application failed")
        finally:
            protocol.abandon()
            del self.connections[protocol]
            self._something_ended.set()

    async def handle_reply(self, protocol: Request, message: Message) -> None:
        protocol.handle_reply(message)
        writable = protocol.channel.writable
        if writable is not None:
            await writable.wait()
