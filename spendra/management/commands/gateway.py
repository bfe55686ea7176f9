import argparse
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from spendra.roles import gateway, listening, parent


class Command(BaseCommand):
    help = "Serves /v1, /health and /metrics. SIGTERM drains: running requests finish, their spend is booked."
    requires_system_checks = []  # they import every page: memory and time that a role need not spend

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=listening.default_host())
        parser.add_argument("--port", type=int, default=4000, help="0 takes a free one")
        parser.add_argument("--processes", type=int, default=1, help="on the same port; at most one a core is useful")
        # What the parent of several processes hands to each.
        parser.add_argument("--listener-fd", type=int, help=argparse.SUPPRESS)
        parser.add_argument("--parent-fd", type=int, help=argparse.SUPPRESS)
        parser.add_argument("--siblings", type=Path, help=argparse.SUPPRESS)
        parser.add_argument("--index", type=int, default=0, help=argparse.SUPPRESS)

    def handle(self, *, host: str, port: int, processes: int, **inherited: Any) -> None:
        if inherited["listener_fd"] is not None:
            sys.exit(_serve_as_child(**inherited))
        if processes < 1:
            raise CommandError("--processes must be at least 1.", returncode=2)
        try:
            listener = listening.bind(host, port)
        except listening.CannotListen as error:
            raise CommandError(str(error)) from error
        listening.announce("gateway", listener, processes=processes)
        gateway.make_partitions()
        sys.exit(gateway.serve(listener) if processes == 1 else gateway.supervise(listener, processes))


def _serve_as_child(*, listener_fd: int, parent_fd: int, siblings: Path, index: int, **_: Any) -> int:
    parent.watch(parent_fd, grace_seconds=settings.DRAIN_SECONDS + 5)
    return gateway.serve(listening.inherit(listener_fd), siblings=siblings, index=index)
