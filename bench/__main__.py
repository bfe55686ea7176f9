"""`make bench`: Spendra and its peers side by side, in one run, interleaved, on the same canned upstream.

Writes the figures as Markdown and JSON under .spendra/bench and prints the Markdown. Exits 1 where a request failed,
the ledger does not add up or a goal is missed.
"""

import argparse
import dataclasses
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from bench import peers, processes, report, spendra_target
from bench.scenarios import WARMUP_SECONDS, Figures, Run, Scenario, http_name, interleave, on_money_core, over_http
from bench.spendra_target import Database
from bench.targets import ROOT, Target

BENCH_FOLDER = ROOT / ".spendra" / "bench"


@dataclass
class Bench:
    """Everything that runs while figures are taken."""

    upstream: str
    database: Database
    keys: dict[str, list[str]]
    gateway: Target
    peers: list[Target]
    rounds: int
    seconds: float
    memory_mb: dict[str, tuple[float, float]] = field(default_factory=dict)

    def ours(self, name: str, keys: str, *, target: Target | None = None) -> Target:
        return dataclasses.replace(target or self.gateway, name=name, keys=tuple(self.keys[keys]))


@contextmanager
def canned_upstream() -> Iterator[str]:
    command = [sys.executable, "-m", "bench.upstream"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


@contextmanager
def started(*, rounds: int, seconds: float) -> Iterator[Bench]:
    with ExitStack() as stack:
        upstream = stack.enter_context(canned_upstream())
        database = stack.enter_context(spendra_target.fresh_database(BENCH_FOLDER))
        keys = spendra_target.populate(database, with_rules=True)
        yield Bench(
            upstream=upstream,
            database=database,
            keys=keys,
            gateway=stack.enter_context(spendra_target.gateway(BENCH_FOLDER, database, upstream)),
            peers=[stack.enter_context(start(BENCH_FOLDER, upstream)) for start in (peers.litellm, peers.portkey)],
            rounds=rounds,
            seconds=seconds,
        )


def beside_peers(bench: Bench) -> Figures:
    direct = Target(report.DIRECT, f"{bench.upstream}/v1/chat/completions")
    contended, spread = bench.ours(report.CONTENDED, "contended"), bench.ours(report.SPREAD, "spread")
    before = {target.name: processes.resident_mb(target.pid) for target in (contended, *bench.peers) if target.pid}
    targets = [direct, *bench.peers, contended, spread]
    for target in targets:  # each loads what it loads at its first requests
        target.measure(connections=8, seconds=2, warmup=1)
    figures: Figures = {}
    for connections in report.CONCURRENCIES:
        scenarios = [over_http(target, connections=connections, seconds=bench.seconds) for target in targets]
        if connections == report.WORKER_CALLERS:
            scenarios.append(beside_worker(bench, contended))
        figures |= interleave(scenarios, rounds=bench.rounds)
    streaming = [target for target in targets if target.streams]
    streamed = [over_http(target, connections=32, seconds=bench.seconds, is_stream=True) for target in streaming]
    figures |= interleave(streamed, rounds=bench.rounds)
    for target in (contended, *bench.peers):
        assert target.pid is not None
        bench.memory_mb[target.name] = (before[target.name], processes.resident_mb(target.pid))
    return figures


def beside_worker(bench: Bench, target: Target) -> Scenario:
    """A worker is started for each run, so that no other run has one beside it."""

    def run() -> Run:
        with spendra_target.worker(BENCH_FOLDER, bench.database) as pid:
            seen = dataclasses.replace(target, worker_pid=pid).measure(
                connections=report.WORKER_CALLERS, seconds=bench.seconds, warmup=WARMUP_SECONDS
            )
            return seen | {"waiting_messages": bench.database.waiting_messages()}

    return Scenario(http_name(report.WORKER, report.WORKER_CALLERS), run)


def hot_budget(bench: Bench) -> Figures:
    one, many = bench.ours(report.ONE_BUDGET, "one_budget"), bench.ours(report.MANY_BUDGETS, "many_budgets")
    scenarios = [over_http(target, connections=report.HOT_CALLERS, seconds=bench.seconds) for target in (one, many)]
    scenarios += [
        on_money_core(
            report.ONE_BUDGET, bench.database, callers=report.HOT_CALLERS, seconds=bench.seconds, actor="hot"
        ),
        on_money_core(report.MANY_BUDGETS, bench.database, callers=report.HOT_CALLERS, seconds=bench.seconds),
    ]
    return interleave(scenarios, rounds=bench.rounds)


def two_processes(bench: Bench) -> Figures:
    with spendra_target.gateway(BENCH_FOLDER, bench.database, bench.upstream, count=2) as both:
        targets = [
            bench.ours(report.ONE_PROCESS, "spread"),
            bench.ours(report.TWO_PROCESSES, "spread", target=both),
        ]
        scenarios = [over_http(target, connections=report.HOT_CALLERS, seconds=bench.seconds) for target in targets]
        return interleave(scenarios, rounds=bench.rounds)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="measured in each run")
    parser.add_argument("--document", action="store_true", help="put the tables into docs/performance.md")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with started(rounds=asked.rounds, seconds=asked.seconds) as bench:
        figures = beside_peers(bench) | hot_budget(bench) | two_processes(bench)
        verified = bench.database.verify()
    results = report.Results(figures=figures, memory_mb=bench.memory_mb, verified=verified)
    text = report.write(results, BENCH_FOLDER)
    print(text)
    if asked.document:
        report.put_into_document("results", text)
    return 0 if results.holds() else 1


if __name__ == "__main__":
    sys.exit(main())
