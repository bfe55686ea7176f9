"""Wires the dashboard: Django behind the probes on its port, metrics on a port of their own.

The ingress sends all of `/` to the dashboard's port, so metrics must not be there.
"""

import socket
from typing import cast

from django.conf import settings

from spendra.asgi_dashboard import application as django_application
from spendra.roles import endpoints
from spendra.roles.http_connection import Limits
from spendra.roles.http_server import Server, Site
from spendra.roles.lifecycle import AsgiApplication
from spendra.roles.readiness import Readiness

_LIMITS = Limits(max_body_bytes=5 * 2**20, body_seconds=30)
_DRAIN_SECONDS = 25


def serve(listener: socket.socket, metrics_listener: socket.socket) -> int:
    readiness = Readiness(settings.DATABASE_URL)
    pages = endpoints.Routed(cast(AsgiApplication, django_application), endpoints.probes(readiness.reasons))
    metrics = endpoints.probes_and_metrics(readiness.reasons, settings.METRICS_BEARER_TOKEN)
    return Server(
        [readiness],
        sites=[Site(listener, pages), Site(metrics_listener, metrics)],
        limits=_LIMITS,
        early_answer=endpoints.early_answer,
        drain_seconds=_DRAIN_SECONDS,
    ).run()
