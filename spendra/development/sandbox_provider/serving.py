"""Starting the provider: in this process, or as a child that ends with its parent."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import uvloop

from spendra.development.sandbox_provider.provider import Provider
from spendra.development.sandbox_provider.wire import Connection

MODULE = "spendra.development.sandbox_provider"
ANNOUNCEMENT = "sandbox provider on "


@contextlib.asynccontextmanager
async def serving(port: int = 0) -> AsyncIterator[str]:
    """Serves on the loopback interface and gives the URL (without /v1)."""
    provider = Provider()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(provider.handle), "127.0.0.1", port, backlog=1024
    )
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def run(port: int, *, ends_with_parent: bool = False) -> None:
    """Announces the URL on stdout and serves until SIGTERM or SIGINT, or until stdin closes where that is asked."""
    uvloop.run(_serve_until_told(port, ends_with_parent=ends_with_parent))


async def _serve_until_told(port: int, *, ends_with_parent: bool) -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    if ends_with_parent:
        loop.add_reader(sys.stdin, lambda: told.set() if not os.read(sys.stdin.fileno(), 1024) else None)
    async with serving(port) as url:
        print(f"{ANNOUNCEMENT}{url}", flush=True)
        await told.wait()


@contextlib.contextmanager
def sandbox_process(port: int = 0) -> Iterator[str]:
    """A provider in a process of its own: gives its URL (without /v1) and ends it afterwards, or when this one dies."""
    command = [sys.executable, "-m", MODULE, "--port", str(port), "--ends-with-parent"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith(ANNOUNCEMENT):
                raise RuntimeError(f"the sandbox provider did not start on port {port}: see its stderr")
            yield line.removeprefix(ANNOUNCEMENT).strip()
        finally:
            process.terminate()
