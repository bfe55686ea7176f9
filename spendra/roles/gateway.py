"""Wires the gateway's application to the server: one process, or several on one port."""

import logging
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from django.conf import settings

from spendra.roles.processes import Child, Supervisor

logger = logging.getLogger(__name__)


def make_partitions() -> None:
    """The months ahead, where the worker has not made them. With Postgres away the gateway starts all the same."""
    from django.db import Error, connection

    from apps.budgets import maintenance

    try:
        maintenance.ensure_partitions()
    except Error as error:
        logger.warning("Could not look after the partitions of the months ahead: %s", error)
    connection.close()


def supervise(listener: socket.socket, processes: int) -> int:
    """The parent of several processes. It holds the socket open, so that a child's death loses no waiting client."""
    folder = tempfile.mkdtemp(prefix="spendra-gateway-")
    inherited = ["--listener-fd", str(listener.fileno()), "--siblings", folder]
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "gateway", *inherited]
    children = [
        Child(f"gateway process {index}", [*command, "--index", str(index)], inherited=[listener.fileno()])
        for index in range(processes)
    ]
    try:
        return Supervisor(children, listener=listener, drain_seconds=settings.DRAIN_SECONDS).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def serve(listener: socket.socket, *, siblings: Path | None = None, index: int = 0) -> int:
    # Imported here: the parent of several processes needs neither Twisted nor the gateway.
    from apps.gateway import errors, metrics
    from apps.gateway.app import Gateway
    from spendra.kernel.errors import Busy, HeadersTooLarge, RequestMalformed, RequestTimedOut, RequestTooLarge
    from spendra.kernel.ids import uuid7
    from spendra.roles.http_connection import Limits
    from spendra.roles.http_server import Server, Site
    from spendra.roles.metrics import Exposition, SharedExposition

    refusals = {kind.code: kind for kind in (Busy, HeadersTooLarge, RequestMalformed, RequestTimedOut, RequestTooLarge)}

    def early_answer(code: str, message: str) -> errors.Response:
        request_id = uuid7().hex
        kind = refusals.get(code)
        metrics.requests.labels(kind.code if kind else "internal_error").inc()
        return errors.answer(kind(message), request_id) if kind else errors.answer_unexpected(request_id)

    exposition = SharedExposition(siblings, index, told_once=metrics.TOLD_ONCE) if siblings else Exposition()
    gateway = Gateway(render_metrics=exposition.text)
    limits = Limits(
        max_body_bytes=settings.MAX_BODY_BYTES,
        max_bodies_bytes=settings.MAX_BODIES_BYTES,
        body_seconds=settings.BODY_TIMEOUT_SECONDS,
    )
    return Server(
        [exposition, gateway],
        sites=[Site(listener, gateway)],
        limits=limits,
        early_answer=early_answer,
        drain_seconds=settings.DRAIN_SECONDS,
    ).run()
