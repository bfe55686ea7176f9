"""Binding a port, with one clear sentence where that cannot be."""

import errno
import logging
import os
import socket

from django.conf import settings

logger = logging.getLogger(__name__)


class CannotListen(Exception):
    pass


def bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = (
            "is in use: choose another" if error.errno == errno.EADDRINUSE else f"cannot be opened: {error.strerror}"
        )
        raise CannotListen(f"Port {port} on {host} {reason}") from error
    return listener


def inherit(descriptor: int) -> socket.socket:
    return socket.socket(fileno=descriptor)


def default_host() -> str:
    """In a container every address, behind the Service; on a developer's machine only its own."""
    return "0.0.0.0" if settings.IS_PRODUCTION else "127.0.0.1"


def announce(role: str, listener: socket.socket, *, processes: int = 1) -> None:
    host, port = listener.getsockname()[:2]
    logger.info("%s on %s:%d, processes: %d, pid: %d", role, host, port, processes, os.getpid())
