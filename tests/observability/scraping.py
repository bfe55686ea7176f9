"""What /metrics tells, as a test reads it."""

import httpx

from tests.gateway.running import METRICS_TOKEN, RunningGateway

Series = dict[str, float]


def scrape(gateway: RunningGateway) -> Series:
    answer = httpx.get(f"{gateway.url}/metrics", headers={"authorization": f"Bearer {METRICS_TOKEN}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def growth(before: Series, after: Series) -> dict[str, float]:
    """Of the gateway's own counters and counts of histograms."""
    own = {name for name in after if name.startswith("spendra_") and "_created" not in name and "_bucket" not in name}
    return {name: after[name] - before.get(name, 0) for name in own if after[name] != before.get(name, 0)}
