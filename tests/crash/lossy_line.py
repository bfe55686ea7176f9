"""A line to Postgres that loses replies: what was asked is done and committed, and the one who asked never hears of it.
Or it holds back what is asked.

Stands between a gateway and its database; connections are told apart by the application name in their first packet.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit


class LossyLine:
    def __init__(self, database_url: str) -> None:
        self._target = urlsplit(database_url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lost: dict[bytes, int] = {}
        self._held: tuple[bytes, threading.Event, threading.Event] | None = None
        self.is_up = True
        self._clients: list[tuple[bytes, socket.socket]] = []

    @property
    def url(self) -> str:
        port = self._listener.getsockname()[1]
        netloc = f"{self._target.username}:{self._target.password}@127.0.0.1:{port}"
        # In clear text: the line reads application names.
        return urlunsplit(self._target._replace(netloc=netloc, query="sslmode=disable&gssencmode=disable"))

    def lose_replies(self, application: str, times: int) -> None:
        """The next replies on connections of that name; the connection breaks each time."""
        self._lost[application.encode()] = times

    @contextlib.contextmanager
    def held_back(self, application: str) -> Iterator[threading.Event]:
        """What is asked on connections of that name stays here for so long; the event is set once something waits."""
        waits, goes_on = threading.Event(), threading.Event()
        self._held = application.encode(), waits, goes_on
        try:
            yield waits
        finally:
            self._held = None
            goes_on.set()

    def connections(self, application: str) -> int:
        """How many of that name were made so far, those that have ended among them."""
        return sum(application.encode() in hello for hello, _ in self._clients)

    def break_off(self, application: str) -> None:
        """Now, whatever is under way: the server works on, and hears nothing of it for a second."""
        for hello, client in self._clients:
            if application.encode() in hello:
                _break(client)

    def __enter__(self) -> "LossyLine":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if not self.is_up:
                    client.close()
                    continue
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection((self._target.hostname, self._target.port)) as server:
            hello = client.recv(8192)
            self._clients.append((hello, client))
            server.sendall(hello)
            threading.Thread(target=self._ask, args=(hello, client, server), daemon=True).start()
            for data in _received(server):
                if self._loses(hello):
                    _break(client)
                    return
                with contextlib.suppress(OSError):
                    client.sendall(data)

    def _ask(self, hello: bytes, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for data in _received(client):
                if self._held is not None and self._held[0] in hello:
                    _, waits, goes_on = self._held
                    waits.set()
                    goes_on.wait()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)  # the client has gone, and the server may learn of it

    def _loses(self, hello: bytes) -> bool:
        for name, left in self._lost.items():
            if left and name in hello:
                self._lost[name] -= 1
                return True
        return False


def _received(connection: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(OSError):
        while data := connection.recv(65536):
            yield data


def _break(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
