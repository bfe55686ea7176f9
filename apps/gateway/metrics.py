"""What the gateway counts. Labels come from small fixed sets: never a key, a model that a client named, an address."""

from collections.abc import Iterator

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from apps.budgets.reserving import retries

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

requests = Counter("spendra_gateway_requests", "Requests by how they ended.", ["outcome"])
admission_seconds = Histogram("spendra_gateway_admission_seconds", "From key to verdict.", buckets=_SECONDS)
upstream_seconds = Histogram(
    "spendra_gateway_upstream_seconds", "Until the provider's first byte.", buckets=(*_SECONDS, 30, 60, 300)
)
reserve_seconds = Histogram("spendra_gateway_reserve_seconds", "One reserve round trip of a batch.", buckets=_SECONDS)
settle_seconds = Histogram("spendra_gateway_settle_seconds", "One settle round trip of a batch.", buckets=_SECONDS)
reserve_batch = Histogram("spendra_gateway_reserve_batch_size", "Requests a reserve of Postgres.", buckets=_SIZES)
settle_batch = Histogram("spendra_gateway_settle_batch_size", "Endings a settle batch.", buckets=_SIZES)
endings = Counter("spendra_gateway_endings", "Reservations ended, by what became of them.", ["outcome"])
irregular_bookings = Counter(
    "spendra_gateway_irregular_bookings",
    "Calls booked above what was reserved (overage), or at a bound for want of the exact price; one may be both.",
    ["cause"],
)
# All of them from the start: of one that begins at 1 no rate can be told.
for _cause in ("overage", "unknown_model", "guessed_price", "no_usage", "broken_stream", "nothing_known"):
    irregular_bookings.labels(_cause)
settle_failures = Counter("spendra_gateway_settle_failures", "Settle batches that Postgres did not take.")
settle_backlog = Gauge("spendra_gateway_settle_backlog", "Endings that Postgres has not taken yet.")
settle_backlog_seconds = Gauge(
    "spendra_gateway_settle_backlog_seconds",
    "Age of the oldest of them; `stuck`: of organizations whose rows another session holds.",
    ["state"],
)
open_reservations = Gauge("spendra_open_reservations", "Reservations open in the database.")
settle_quarantine = Gauge(
    "spendra_settle_quarantine",
    "Endings that Postgres refused for their data, and nobody has looked at: alert above 0.",
)
oldest_snapshot_seconds = Gauge(
    "spendra_oldest_snapshot_seconds", "Age of the oldest transaction in the database: old ones make hot rows slow."
)
rules_loads = Counter("spendra_gateway_rules_loads", "How often rules in memory were brought up to date.")
shadow_decisions = Counter(
    "spendra_gateway_shadow_decisions", "What policies in shadow would have said.", ["effect", "kind"]
)
unnoted_refusals = Counter("spendra_gateway_unnoted_refusals", "Refusals of which nothing was kept to explain them by.")
ready = Gauge("spendra_gateway_ready", "1 while /health answers 200.")
# Facts of the database, which every process knows: told once, whatever the number of processes.
TOLD_ONCE = frozenset({"spendra_open_reservations", "spendra_settle_quarantine", "spendra_oldest_snapshot_seconds"})


class _BatchRetries(Collector):
    """Counted where batches are made, by causes of a fixed set."""

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(
            "spendra_gateway_batch_retries", "Batches tried again, by cause.", labels=["cause"]
        )
        for cause, count in retries.items():
            family.add_metric([cause], count)
        yield family


REGISTRY.register(_BatchRetries())
