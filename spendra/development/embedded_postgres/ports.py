"""A port on the loopback address."""

import random
import socket

from spendra.development.embedded_postgres.errors import EmbeddedPostgresError

# Below the kernel's range for outgoing connections: a client that reconnects to a stopped server could otherwise be
# given the server's own port, connect to itself and keep the port busy.
_CANDIDATES = range(15_000, 32_000)


def free_port() -> int:
    for port in random.sample(_CANDIDATES, 200):
        if _refusal(port) is None:
            return port
    raise EmbeddedPostgresError("The embedded Postgres found no free port on 127.0.0.1.")


def must_be_free(port: int) -> None:
    if refusal := _refusal(port):
        raise EmbeddedPostgresError(
            f"The embedded Postgres cannot listen on 127.0.0.1:{port} ({refusal.strerror}). "
            "Stop the program that uses this port, or choose another."
        )


def _refusal(port: int) -> OSError | None:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError as error:
            return error
    return None
