"""Wires the worker: a parent over two children, the task cluster of django-q2 and the relay.

django-q2 has two traps. A SIGTERM to all of its processes at once hangs it: `processes.Supervisor` signals the parent
of the cluster alone. And when its guard is killed, its parent ends and the task processes stay, waiting on pipes whose
other ends they hold themselves: each fork ends with the process that forked it, and the supervisor starts all of it
anew.
"""

import asyncio
import logging
import socket
import sys
import time

from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from spendra.roles import early_signals, parent
from spendra.roles.processes import Child, Supervisor

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 25


def supervise(listener: socket.socket) -> int:
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "worker", "--part"]
    relay = [*command, "relay", "--listener-fd", str(listener.fileno())]
    children = [Child("task cluster", [*command, "tasks"]), Child("relay", relay, inherited=[listener.fileno()])]
    return Supervisor(children, listener=listener, drain_seconds=DRAIN_SECONDS).run()


def run_tasks() -> None:
    """Returns once the cluster runs; Python then waits for its processes, and a SIGTERM ends them in order."""
    from apps.budgets import maintenance
    from spendra import schedules
    from spendra.roles.task_cluster import TaskCluster

    _wait_for_database()
    maintenance.ensure_partitions()
    schedules.install()
    if not early_signals.has_come():
        parent.end_forks_with_their_parent()
        TaskCluster().start()


def _wait_for_database() -> None:
    from spendra.roles.readiness import Readiness

    readiness = Readiness(settings.DATABASE_URL)
    while reasons := asyncio.run(readiness.reasons()):
        if early_signals.has_come():
            raise SystemExit(0)
        logger.warning("The task cluster waits: %s", "; ".join(reasons))
        time.sleep(1)


def serve_relay(listener: socket.socket) -> int:
    from spendra.consumers import CONSUMERS
    from spendra.roles import endpoints
    from spendra.roles.http_connection import Limits
    from spendra.roles.http_server import Server, Site
    from spendra.roles.readiness import Readiness
    from spendra.roles.relaying import Relay
    from spendra.roles.sweeping import Seeder, Sweeper
    from spendra.roles.watching import Watch

    readiness, relay, watch = Readiness(settings.DATABASE_URL), Relay(CONSUMERS), Watch(timezone.now())
    sweeper = Sweeper(_sweep)

    async def reasons() -> list[str]:
        return await readiness.reasons() + sweeper.reasons() + relay.reasons() + watch.reasons()

    return Server(
        [readiness, sweeper, Seeder(_seed), relay, watch],
        sites=[Site(listener, endpoints.probes_and_metrics(reasons, settings.METRICS_BEARER_TOKEN))],
        limits=Limits(max_body_bytes=0, body_seconds=5),
        early_answer=endpoints.early_answer,
        drain_seconds=DRAIN_SECONDS,
    ).run()


def _sweep() -> int:
    from apps.budgets import expiring

    close_old_connections()
    return expiring.sweep()


def _seed() -> int:
    from apps.budgets import seeding

    close_old_connections()
    return seeding.seed_waiting()
