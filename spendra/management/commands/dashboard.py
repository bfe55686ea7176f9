import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from spendra.roles import listening


class Command(BaseCommand):
    help = "Serves the pages, the admin and /health; metrics on a port of their own."
    requires_system_checks = []  # they import every page: memory and time that a role need not spend

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=listening.default_host())
        parser.add_argument("--port", type=int, default=3000, help="0 takes a free one")
        listening.add_metrics_port(parser)

    def handle(self, *, host: str, port: int, metrics_port: int, **_: Any) -> None:
        try:
            listener = listening.bind(host, port)
            metrics_listener = listening.bind(host, metrics_port)
        except listening.CannotListen as error:
            raise CommandError(str(error)) from error
        listening.announce("dashboard", listener, metrics=metrics_listener)
        from spendra.roles import dashboard  # builds Django's handler at import

        sys.exit(dashboard.serve(listener, metrics_listener))
