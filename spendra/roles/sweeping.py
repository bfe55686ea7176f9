"""What the relay does for money each second: it ends the reservations whose gateway is dead or whose time is over, and
beside that, since it may take minutes, it fills periods whose history nobody has summed."""

import logging
from collections.abc import Callable

from prometheus_client import Counter, Gauge

from spendra.roles.repeating import Repeating

logger = logging.getLogger(__name__)

# Doubtful calls are booked within a minute.
MOST_SECONDS_WITHOUT_A_SWEEP = 60

sweeps = Counter("spendra_sweeper_sweeps", "Sweeps by how they ended.", ["outcome"])
expired = Counter("spendra_sweeper_expired", "Reservations that the sweeper ended.")
lag = Gauge("spendra_sweeper_lag_seconds", "Since the last sweep that worked.")
seedings = Counter(
    "spendra_seeder_passes", "Passes over the periods that wait for their history, by how they ended.", ["outcome"]
)


class Sweeper(Repeating):
    name = "Sweep"

    def __init__(self, sweep: Callable[[], int]) -> None:
        super().__init__()
        self._sweep = sweep

    async def startup(self) -> None:
        await super().startup()
        logger.info("Sweeping each second")
        lag.set_function(lambda: self.seconds_since_success)

    def act(self) -> bool:
        count = self._sweep()
        sweeps.labels("done").inc()
        expired.inc(count)
        if count:
            logger.warning("Ended %d reservations that nobody had ended", count)
        return False

    def failed(self) -> None:
        sweeps.labels("failed").inc()

    def reasons(self) -> list[str]:
        """Why the worker is not well, in sentences; empty when it is."""
        if self.seconds_since_success > MOST_SECONDS_WITHOUT_A_SWEEP:
            return [f"sweeper: no sweep has worked for {self.seconds_since_success:.0f} seconds"]
        return []


class Seeder(Repeating):
    """Whoever opened a period may have died before its history was summed."""

    name = "Seeding"

    def __init__(self, seed: Callable[[], int]) -> None:
        super().__init__()
        self._seed = seed

    def act(self) -> bool:
        if count := self._seed():
            logger.info("Filled %d periods with what was spent before", count)
        seedings.labels("done").inc()
        return False

    def failed(self) -> None:
        seedings.labels("failed").inc()
