"""Binding a port, with one clear sentence where that cannot be."""

import argparse
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
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(f"Port {port} on {host} is in use: choose another.") from error
        raise CannotListen(f"Port {port} on {host} cannot be opened: {error.strerror}.") from error
    return listener


def inherit(descriptor: int) -> socket.socket:
    return socket.socket(fileno=descriptor)


def default_host() -> str:
    """In a container every address, behind the Service; on a developer's machine only its own."""
    return "0.0.0.0" if settings.IS_PRODUCTION else "127.0.0.1"


def announce(role: str, listener: socket.socket, *, metrics: socket.socket | None = None, processes: int = 1) -> None:
    host, port = listener.getsockname()[:2]
    elsewhere = f", metrics on port {metrics.getsockname()[1]}" if metrics else ""
    logger.info("%s on %s:%d%s, processes: %d, pid: %d", role, host, port, elsewhere, processes, os.getpid())


def add_metrics_port(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--metrics-port", type=int, default=9100, help="for /metrics and /health; 0 takes a free one")
