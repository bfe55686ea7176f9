"""A provider whose queue of connections is full: who connects waits, and nothing that is sent reaches it."""

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def full_provider() -> Iterator[str]:
    with contextlib.ExitStack() as sockets:
        full = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}"
