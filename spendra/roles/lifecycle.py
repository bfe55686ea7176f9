"""What a served application is: an ASGI callable with three moments in its life."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApplication = Callable[[Scope, Receive, Send], Awaitable[None]]


class Lifecycle(Protocol):
    async def startup(self) -> None:
        """Runs before the port is opened. An exception ends the process with exit code 1."""

    async def drain(self) -> None:
        """The port is closed: report not ready; running requests go on."""

    async def shutdown(self) -> None:
        """The last request has ended: finish background work, close connections. An exception makes the exit code 1."""


class Application(Lifecycle, Protocol):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...
