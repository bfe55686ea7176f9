"""Where a gateway's time went between two looks at its own metrics."""

import urllib.request
from collections.abc import Mapping

from bench.targets import Target

TOKEN = "bench"
_NAME = "spendra_gateway_{}"
_SEEN = ("admission_seconds", "reserve_seconds", "settle_seconds", "reserve_batch_size")


def read(target: Target) -> dict[str, float]:
    """Sums and counts of the stages, since the gateway began."""
    url = target.url.replace("/v1/chat/completions", "/metrics")
    asked = urllib.request.Request(url, headers={"authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        lines = [line.rpartition(" ") for line in answer.read().decode().splitlines() if not line.startswith("#")]
    values = {name: float(value) for name, _, value in lines}
    names = [f"{stage}_{part}" for stage in _SEEN for part in ("sum", "count")]
    return {name: values[_NAME.format(name)] for name in names}


def between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Mean milliseconds from key to verdict, of one round trip to reserve and one to settle; how many requests a
    reserve takes along, and how many times a request is taken along: more than once where its rules had moved."""
    moved = {name: after[name] - before[name] for name in before}

    def mean(stage: str) -> float:
        return moved[f"{stage}_sum"] / max(moved[f"{stage}_count"], 1)

    return {
        "admission_ms": mean("admission_seconds") * 1000,
        "reserve_ms": mean("reserve_seconds") * 1000,
        "settle_ms": mean("settle_seconds") * 1000,
        "reserve_batch": mean("reserve_batch_size"),
        "reserves_a_request": moved["reserve_batch_size_sum"] / max(moved["admission_seconds_count"], 1),
    }
