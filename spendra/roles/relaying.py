"""Takes the outbox onward: beside the sweeper, in a thread of its own, so that a slow consumer never delays a sweep."""

import logging
import time
from collections.abc import Sequence

from django.db import close_old_connections
from prometheus_client import Counter, Gauge

from apps.outbox import delivering, queries
from apps.outbox.types import Consumer
from spendra.roles.repeating import Repeating

logger = logging.getLogger(__name__)

# A backlog that is older is more than a busy minute: somebody has to look.
MOST_SECONDS_BEHIND = 300
_SECONDS_BETWEEN_LOOKS = 5.0
_SECONDS_BETWEEN_CLEANINGS = 60.0

passes = Counter("spendra_outbox_passes", "Passes of the relay by how they ended.", ["outcome"])
messages = Counter(
    "spendra_outbox_messages", "Messages handed to a consumer by how that ended.", ["consumer", "outcome"]
)
lag = Gauge("spendra_outbox_lag_seconds", "Age of the oldest message that a consumer has not taken.", ["consumer"])
dead_letters = Gauge("spendra_outbox_dead_letters", "Messages given up for a consumer, until a replay.", ["consumer"])


class Relay(Repeating):
    name = "Relay"

    def __init__(self, consumers: Sequence[Consumer]) -> None:
        super().__init__()
        self._consumers = consumers
        self._backlogs: dict[str, queries.Backlog] = {}
        self._looked_at = self._cleaned_at = float("-inf")

    async def startup(self) -> None:
        await super().startup()
        logger.info("Relaying to %s", ", ".join(consumer.name for consumer in self._consumers))

    def act(self) -> bool:
        close_old_connections()
        self._look()
        done = [delivering.deliver(self._consumers), delivering.redeliver(self._consumers)]
        for (consumer, outcome), count in [*done[0].ended.items(), *done[1].ended.items()]:
            messages.labels(consumer, outcome).inc(count)
        self._clean()
        passes.labels("done").inc()
        return any(one.taken >= delivering.MAX_BATCH for one in done)

    def failed(self) -> None:
        passes.labels("failed").inc()

    def reasons(self) -> list[str]:
        """Why the worker is not well, in sentences; empty when it is."""
        if self.seconds_since_success > MOST_SECONDS_BEHIND:
            return [f"outbox: the relay has not worked for {self.seconds_since_success:.0f} seconds"]
        return [
            f"outbox: {consumer} is {backlog.queued_seconds:.0f} seconds behind"
            for consumer, backlog in self._backlogs.items()
            if backlog.queued_seconds > MOST_SECONDS_BEHIND
        ]

    def _look(self) -> None:
        if time.monotonic() - self._looked_at < _SECONDS_BETWEEN_LOOKS:
            return
        self._backlogs = queries.backlogs(self._consumers)
        self._looked_at = time.monotonic()
        for consumer, backlog in self._backlogs.items():
            lag.labels(consumer).set(backlog.undelivered_seconds)
            dead_letters.labels(consumer).set(backlog.dead_letters)

    def _clean(self) -> None:
        if time.monotonic() - self._cleaned_at < _SECONDS_BETWEEN_CLEANINGS:
            return
        if dropped := delivering.drop_unheard(self._consumers):
            logger.warning("Dropped %d old messages that nobody hears", dropped)
        if given_up := delivering.give_up_unknown(self._consumers):
            logger.warning("Gave up %d messages of consumers that nobody knows: dead letters now", given_up)
        self._cleaned_at = time.monotonic()
