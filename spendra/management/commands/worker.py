import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from spendra.roles import listening, parent, worker


class Command(BaseCommand):
    help = "Runs the task cluster and the relay, which ends abandoned reservations each second."
    requires_system_checks = []  # they import every page: memory and time that a role need not spend

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=listening.default_host())
        listening.add_metrics_port(parser)
        # What the parent hands to its children.
        parser.add_argument("--part", choices=("tasks", "relay"), help=argparse.SUPPRESS)
        parser.add_argument("--listener-fd", type=int, help=argparse.SUPPRESS)
        parser.add_argument("--parent-fd", type=int, help=argparse.SUPPRESS)

    def handle(self, *, host: str, metrics_port: int, part: str | None, **inherited: Any) -> None:
        if part is not None:
            parent.watch(inherited["parent_fd"], grace_seconds=worker.DRAIN_SECONDS + 5)
        if part == "tasks":
            worker.run_tasks()
        elif part == "relay":
            sys.exit(worker.serve_relay(listening.inherit(inherited["listener_fd"])))
        else:
            sys.exit(_supervise(host, metrics_port))


def _supervise(host: str, metrics_port: int) -> int:
    try:
        listener = listening.bind(host, metrics_port)
    except listening.CannotListen as error:
        raise CommandError(str(error)) from error
    listening.announce("worker", listener)
    return worker.supervise(listener)
