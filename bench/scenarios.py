"""What is run, and how runs take turns."""

import itertools
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench import spendra_target
from bench.spendra_target import Database
from bench.targets import Target

WARMUP_SECONDS = 1.5

Run = dict[str, Any]
Figures = dict[str, list[Run]]  # scenario → its runs


@dataclass(frozen=True)
class Scenario:
    name: str
    run: Callable[[], Run]


def over_http(target: Target, *, connections: int, seconds: float, is_stream: bool = False) -> Scenario:
    def run() -> Run:
        return target.measure(connections=connections, seconds=seconds, warmup=WARMUP_SECONDS, is_stream=is_stream)

    return Scenario(http_name(target.name, connections, is_stream=is_stream), run)


def http_name(target: str, connections: int, *, is_stream: bool = False) -> str:
    return f"{target} | {'streamed' if is_stream else 'plain'} | {connections}"


def on_money_core(name: str, database: Database, *, callers: int, seconds: float, actor: str | None = None) -> Scenario:
    command = ["--organization", "bench-alone", "--callers", str(callers), "--seconds", str(seconds)]
    command += ["--actor", actor] if actor else []
    return Scenario(
        core_name(name), lambda: spendra_target.run_module("bench.money", *command, database_url=database.url)
    )


def core_name(name: str) -> str:
    return f"{name} | money core"


def interleave(scenarios: list[Scenario], *, rounds: int) -> Figures:
    """A B C, B C A, C A B, …: whatever else the machine does in the meantime falls on all of them."""
    figures: Figures = {scenario.name: [] for scenario in scenarios}
    for turn in range(rounds):
        start = turn % len(scenarios)
        for scenario in itertools.chain(scenarios[start:], scenarios[:start]):
            seen = scenario.run()
            figures[scenario.name].append(seen)
            told = ", ".join(f"{name} {value:,.3f}" for name, value in seen.items())
            print(f"bench: round {turn + 1}: {scenario.name}: {told}", file=sys.stderr, flush=True)
    return figures


def median(runs: list[Run], name: str) -> float:
    return float(statistics.median(run[name] for run in runs))
