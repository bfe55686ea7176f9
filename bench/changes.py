"""`python -m bench.changes`: what changes of rules cost the requests beside them.

One gateway, one company with as many rules as `bench.many_rules` makes, a thousand of its keys that call in turn. Runs
take turns: nobody changes anything; a thousand single changes a minute; forty a second; a thousand keys imported in one
transaction. Changes are made by `bench.changing`, and counted in the database by the tokens that they left. Exits 1
where a thousand changes a minute, or such an import, take more than a fifth of the throughput, where a first request
waits a second for its rules, where any request fails, or where fewer changes were made than planned.
"""

import argparse
import dataclasses
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from bench import many_rules, processes, report, spendra_target, stages
from bench.__main__ import BENCH_FOLDER, canned_upstream
from bench.report import Goal
from bench.scenarios import WARMUP_SECONDS, Figures, Run, Scenario, interleave, median
from bench.spendra_target import Database
from bench.targets import BODY, ROOT, Target

ORGANIZATION = "bench"
QUIET, STEADY, FAST, IMPORT = "no changes", "a thousand a minute", "forty a second", "import of a thousand keys"
PER_SECOND = {STEADY: 1000 / 60, FAST: 40.0}
CALLING_KEYS = 1000
IMPORTED, IMPORT_SECONDS = 1000, 10.0
LEAST_OF_QUIET = 0.80
LOAD_SECONDS, END_SECONDS = 1.0, 5.0
# Each transaction that changes a rule leaves one token on the notes of what it moved.
_CHANGES = "SELECT count(DISTINCT token) FROM budgets_governancechange"


class Changer:
    """`bench.changing`, which changes what it is told while something else goes on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.changing", "--organization", ORGANIZATION],
            cwd=ROOT,
            env=spendra_target.environment(database.url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def beside(self, run: Callable[[], Run], asked: dict[str, Any], *, planned: int) -> Run:
        before = self._count()
        self._ask(asked)
        seen = run()
        told = json.loads(self._answer())
        made = self._count() - before
        return seen | {"planned": planned, "changes": made, "changer_cores": told["cpu_seconds"] / told["seconds"]}

    def count_history(self) -> dict[str, float]:
        self._ask({"count_history": True})
        told: dict[str, float] = json.loads(self._answer())
        return told

    def _ask(self, asked: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        print(json.dumps(asked), file=self._process.stdin, flush=True)

    def _count(self) -> int:
        with psycopg.connect(self._database.url) as connection:
            row = connection.execute(_CHANGES).fetchone()
        return int(row[0]) if row else 0

    def _answer(self) -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"bench.changing ended with {self._process.wait()}: what it says is above.")
        return answer

    def end(self) -> None:
        """Its input ends, which is what it waits for; unless this process was told to end in the middle of a run."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait()


@contextmanager
def changer_of(database: Database) -> Iterator[Changer]:
    changer = Changer(database)
    try:
        yield changer
    finally:
        changer.end()


def scenarios(target: Target, changer: Changer, *, connections: int, seconds: float) -> list[Scenario]:
    def measure(measured: float = seconds) -> Run:
        before = stages.read(target)
        seen = target.measure(connections=connections, seconds=measured, warmup=WARMUP_SECONDS)
        return seen | stages.between(before, stages.read(target))

    def steadily(per_second: float) -> Run:
        changes = round(per_second * (WARMUP_SECONDS + seconds))
        asked = {"changes": changes, "seconds": WARMUP_SECONDS + seconds}
        return changer.beside(measure, asked, planned=changes)

    def importing() -> Run:
        asked = {"import": {"count": IMPORTED, "after": WARMUP_SECONDS + IMPORT_SECONDS / 3}}
        return changer.beside(lambda: measure(IMPORT_SECONDS), asked, planned=1)

    return [
        Scenario(QUIET, measure),
        Scenario(STEADY, lambda: steadily(PER_SECOND[STEADY])),
        Scenario(FAST, lambda: steadily(PER_SECOND[FAST])),
        Scenario(IMPORT, importing),
    ]


@dataclass(frozen=True)
class Results:
    figures: Figures
    first_request_seconds: float  # of a gateway that held no rules yet
    resident_mb: float  # of that gateway then, at rest
    grown_mb: float  # by that request
    counted: dict[str, float]  # a history, by a cap that was made when the runs were over
    verified: str

    def of_quiet(self, name: str) -> float:
        rate, quiet = (median(self.figures[which], "requests_per_second") for which in (name, QUIET))
        return rate / quiet

    def goals(self) -> list[Goal]:
        every_run = [run for runs in self.figures.values() for run in runs]
        return [
            Goal("throughput beside a thousand changes a minute", self.of_quiet(STEADY), LEAST_OF_QUIET, True),
            Goal("throughput beside an import of a thousand keys", self.of_quiet(IMPORT), LEAST_OF_QUIET, True),
            Goal("first request of a new gateway, s", self.first_request_seconds, LOAD_SECONDS, False),
            Goal("requests that failed", sum(run["failed"] for run in every_run), 0, False),
            Goal("changes not made in time", sum(run.get("planned", 0) - run.get("changes", 0) for run in every_run), 0,
                 False),
        ]  # fmt: skip


def first_request(target: Target) -> tuple[float, float]:
    """Seconds until a gateway that holds no rules yet has answered, and by how many MB it has grown."""
    assert target.pid is not None
    before, began_at = processes.resident_mb(target.pid), time.perf_counter()
    head = {"authorization": f"Bearer {target.keys[0]}", "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(target.url, json.dumps(BODY).encode(), head), timeout=30):
        return time.perf_counter() - began_at, processes.resident_mb(target.pid) - before


@contextmanager
def big_company(folder: Path) -> Iterator[Database]:
    with spendra_target.fresh_database(folder) as database:
        spendra_target.populate(database, with_rules=False)
        with psycopg.connect(database.url) as connection:
            many_rules.add(connection, ORGANIZATION)
        yield database


def calling_keys(database: Database, *, count: int) -> tuple[str, ...]:
    options = ("--organization", ORGANIZATION, "--keys", str(count))
    return tuple(spendra_target.run_module("bench.many_callers", *options, database_url=database.url))


@dataclass(frozen=True)
class How:
    rounds: int
    seconds: float  # measured in each run but that of the import
    connections: int


def measure(folder: Path, database: Database, upstream: str, keys: tuple[str, ...], how: How) -> Results:
    """On a database that `big_company` has made, with keys of it."""
    with spendra_target.gateway(folder, database, upstream) as gateway, changer_of(database) as changer:
        target = dataclasses.replace(gateway, keys=keys)
        assert target.pid is not None
        took, grown_mb = first_request(target)
        resident_mb = processes.resident_mb(target.pid)
        target.measure(connections=how.connections, seconds=2, warmup=0)
        runs = scenarios(target, changer, connections=how.connections, seconds=how.seconds)
        figures = interleave(runs, rounds=how.rounds)
        counted = changer.count_history()
    return Results(figures, took, resident_mb, grown_mb, counted, database.verify())


def counting(results: Results) -> str:
    counted = results.counted
    return (
        f"Caps among the changes count from now on. One of an agent that counted this year's {counted['entries']:,.0f} "
        f"entries of its organization, when nothing else went on, took {counted['seconds']:.2f} s."
    )


def table(results: Results) -> str:
    head = ("rules change", "requests/s", "of quiet", "p50 ms", "p99 ms", "gateway CPU ms", "Postgres CPU ms",
            "changer, of a core", "changes", "failed")  # fmt: skip
    return report.table(head, (_row(results, name, runs) for name, runs in results.figures.items()))


def profile(results: Results) -> str:
    """Where the time of a request goes, by the gateway's own metrics."""
    figures = {
        "key to verdict ms": "admission_ms",
        "one reserve ms": "reserve_ms",
        "one settle ms": "settle_ms",
        "requests a reserve": "reserve_batch",
        "reserves a request": "reserves_a_request",
    }
    rows = [
        (name, *(f"{median(runs, figure):.2f}" for figure in figures.values()))
        for name, runs in results.figures.items()
    ]
    return report.table(("rules change", *figures), rows)


def _row(results: Results, name: str, runs: list[Run]) -> tuple[str, ...]:
    failed, asked = (sum(run[figure] for run in runs) for figure in ("failed", "requests"))
    rate = median(runs, "requests_per_second")
    return (
        name,
        f"{rate:,.0f}",
        f"{results.of_quiet(name):.2f}",
        *(f"{median(runs, figure):.2f}" for figure in ("p50_ms", "p99_ms")),
        *(f"{median(runs, figure):.3f}" for figure in ("gateway_cpu_ms", "postgres_cpu_ms")),
        report.optional(runs, "changer_cores", ".2f"),
        report.optional(runs, "changes", ",.0f"),
        f"{failed / asked:.2%}",
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.changes", description=__doc__)
    add_options(parser)
    how = How(**vars(parser.parse_args()))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = BENCH_FOLDER / "changes"
    with canned_upstream() as upstream, big_company(folder) as database:
        results = measure(folder, database, upstream, calling_keys(database, count=CALLING_KEYS), how)
    print("\n\n".join((table(results), profile(results), report.goal_table(results.goals()), results.verified)))
    return 0 if all(goal.is_met for goal in results.goals()) else 1


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="measured in each run but that of the import")
    parser.add_argument("--connections", type=int, default=32)


if __name__ == "__main__":
    sys.exit(main())
