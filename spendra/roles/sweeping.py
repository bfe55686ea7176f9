"""The relay's heartbeat: each second it ends the reservations whose gateway is dead or whose time is over."""

import logging
from collections.abc import Callable

from prometheus_client import Counter, Gauge

from spendra.roles.repeating import Repeating

logger = logging.getLogger(__name__)

sweeps = Counter("spendra_sweeper_sweeps", "Sweeps by how they ended.", ["outcome"])
expired = Counter("spendra_sweeper_expired", "Reservations that the sweeper ended.")
lag = Gauge("spendra_sweeper_lag_seconds", "Since the last sweep that worked.")


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
