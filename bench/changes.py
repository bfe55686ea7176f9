"""`python -m bench.changes`: what changes of rules cost the requests beside them.

One gateway, one company with as many rules as `bench.many_rules` makes, callers with 64 of its keys. Runs take turns:
nobody changes anything; a thousand single changes a minute; forty a second; a thousand keys imported in one
transaction in mid-run. Exits 1 where a thousand changes a minute, or such an import, take more than a fifth of the
throughput, where a first request waits a second for its rules, or where any request fails.
"""

import argparse
import dataclasses
import itertools
import json
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from bench import many_rules, processes, spendra_target
from bench.__main__ import BENCH_FOLDER, canned_upstream
from bench.scenarios import WARMUP_SECONDS, Figures, Run, Scenario, interleave, median
from bench.targets import BODY, Target

ORGANIZATION = "bench"
QUIET, STEADY, FAST, IMPORT = "no changes", "a thousand a minute", "forty a second", "import of a thousand keys"
PER_SECOND = {STEADY: 1000 / 60, FAST: 40.0}
IMPORTED = 1000
MOST_LOST = 0.20
LOAD_SECONDS = 1.0

Connection = psycopg.Connection[Any]

# In turn, each in a transaction of its own, on rows that no caller spends by: what administrators do all day.
_KEYS = "SELECT id FROM keys_key WHERE key_id LIKE 'many-%' ORDER BY id"
_UNITS = "SELECT id FROM orgs_unit WHERE name LIKE 'many %' ORDER BY id"
_BUDGETS = f"SELECT id FROM budgets_budget WHERE unit_id IN ({_UNITS}) ORDER BY id"
_CHANGES = (
    (_KEYS, "UPDATE keys_key SET revoked_at = CASE WHEN revoked_at IS NULL THEN now() END WHERE id = %s"),
    (_BUDGETS, "UPDATE budgets_budget SET amount = amount + 1 WHERE id = %s"),
    (_UNITS, "UPDATE orgs_unit SET name = name || '.' WHERE id = %s"),
    (_KEYS, "UPDATE keys_grant SET pattern = pattern || '*' WHERE key_id = %s"),
    (_BUDGETS, "UPDATE budgets_budget SET archived_at = CASE WHEN archived_at IS NULL THEN now() END WHERE id = %s"),
)


class Changer:
    """Changes rules beside a run, each change at its time, whatever the others took."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._made = itertools.count()
        ids = {query: [row[0] for row in self._connection.execute(query)] for query, _ in _CHANGES}
        self._changes = [(statement, ids[query]) for query, statement in _CHANGES]

    def one(self) -> None:
        number = next(self._made)
        statement, ids = self._changes[number % len(self._changes)]
        self._connection.execute(statement, [ids[number % len(ids)]])

    def import_keys(self) -> None:
        prefix = f"imported-{next(self._made)}-"
        many_rules.import_keys(self._connection, ORGANIZATION, count=IMPORTED, prefix=prefix)

    @contextmanager
    def beside(self, act: Callable[[], None], *, after: float, every: float | None) -> Iterator[None]:
        is_over = threading.Event()
        first = time.perf_counter() + after

        def run() -> None:
            for number in itertools.count():
                due = first + number * (every or 0)
                if (number and every is None) or is_over.wait(max(0, due - time.perf_counter())):
                    return
                act()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()


def scenarios(target: Target, changer: Changer, *, connections: int, seconds: float) -> list[Scenario]:
    def measure() -> Run:
        return target.measure(connections=connections, seconds=seconds, warmup=WARMUP_SECONDS)

    def steadily(per_second: float) -> Run:
        with changer.beside(changer.one, after=0, every=1 / per_second):
            return measure()

    def importing() -> Run:
        with changer.beside(changer.import_keys, after=WARMUP_SECONDS + seconds / 2, every=None):
            return measure()

    return [
        Scenario(QUIET, measure),
        Scenario(STEADY, lambda: steadily(PER_SECOND[STEADY])),
        Scenario(FAST, lambda: steadily(PER_SECOND[FAST])),
        Scenario(IMPORT, importing),
    ]


def first_request(target: Target) -> tuple[float, float]:
    """Seconds until a gateway that holds no rules yet has answered, and by how many MB it has grown."""
    assert target.pid is not None
    before, began_at = processes.resident_mb(target.pid), time.perf_counter()
    head = {"authorization": f"Bearer {target.keys[0]}", "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(target.url, json.dumps(BODY).encode(), head), timeout=30):
        return time.perf_counter() - began_at, processes.resident_mb(target.pid) - before


def table(figures: Figures) -> str:
    quiet = median(figures[QUIET], "requests_per_second")
    head = ("rules change", "requests/s", "of quiet", "p50 ms", "p99 ms", "gateway CPU ms", "failed")
    lines = [f"| {' | '.join(head)} |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    for name, runs in figures.items():
        rate = median(runs, "requests_per_second")
        failed, asked = (sum(run[figure] for run in runs) for figure in ("failed", "requests"))
        times = " | ".join(f"{median(runs, figure):.2f}" for figure in ("p50_ms", "p99_ms", "gateway_cpu_ms"))
        lines.append(f"| {name} | {rate:,.0f} | {rate / quiet:.2f} | {times} | {failed / asked:.2%} |")
    return "\n".join(lines)


def misses(figures: Figures, load_seconds: float) -> list[str]:
    quiet = median(figures[QUIET], "requests_per_second")
    found = [
        f"{name}: {median(figures[name], 'requests_per_second') / quiet:.2f} of the quiet throughput"
        for name in (STEADY, IMPORT)
        if median(figures[name], "requests_per_second") < (1 - MOST_LOST) * quiet
    ]
    found += [f"{name}: requests failed" for name, runs in figures.items() if any(run["failed"] for run in runs)]
    return found + ([f"the first request took {load_seconds:.2f} s"] if load_seconds >= LOAD_SECONDS else [])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.changes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="measured in each run")
    parser.add_argument("--connections", type=int, default=32)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = BENCH_FOLDER / "changes"
    with canned_upstream() as upstream, spendra_target.fresh_database(folder) as database:
        keys = spendra_target.populate(database, with_rules=False)["spread"]
        with psycopg.connect(database.url) as connection:
            many_rules.add(connection, ORGANIZATION)
        with spendra_target.gateway(folder, database, upstream) as gateway:
            target = dataclasses.replace(gateway, keys=tuple(keys))
            load_seconds, grown_mb = first_request(target)
            runs = scenarios(target, Changer(database.url), connections=asked.connections, seconds=asked.seconds)
            figures = interleave(runs, rounds=asked.rounds)
    print(f"First request: {load_seconds:.2f} s, {grown_mb:.0f} MB more.\n\n{table(figures)}")
    missed = misses(figures, load_seconds)
    print("\n".join(missed), file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
