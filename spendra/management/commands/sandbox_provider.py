from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from spendra.development.sandbox_provider import serving


class Command(BaseCommand):
    help = "Serves a stand-in for OpenAI on loopback, with faults on request and an exact count of charges."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")

    def handle(self, *, port: int, **_: Any) -> None:
        serving.run(port)
