"""Figures into a table that can be read, and a JSON file that can be compared."""

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import peers
from bench.scenarios import Figures, Run, core_name, http_name, median
from bench.targets import ROOT

DIRECT, LITELLM, PORTKEY = "upstream", "LiteLLM", "Portkey"
CONTENDED, SPREAD = "Spendra, contended", "Spendra, spread"
WORKER = "Spendra, contended, worker running"
ONE_BUDGET, MANY_BUDGETS = "one budget", "64 budgets"
ONE_PROCESS, TWO_PROCESSES = "one process", "two processes"
DOCUMENT = ROOT / "docs" / "performance.md"
SCALE_DOCUMENT = ROOT / "docs" / "scale.md"
CONCURRENCIES = (1, 32, 128)
HOT_CALLERS, WORKER_CALLERS = 64, 32
TARGETS = (DIRECT, LITELLM, PORTKEY, CONTENDED, SPREAD, WORKER)


@dataclass(frozen=True)
class Goal:
    name: str
    value: float
    bound: float
    is_at_least: bool

    @property
    def wanted(self) -> str:
        return f"{'at least' if self.is_at_least else 'at most'} {self.bound}"

    @property
    def is_met(self) -> bool:
        return self.value >= self.bound if self.is_at_least else self.value <= self.bound


@dataclass(frozen=True)
class Results:
    figures: Figures
    memory_mb: dict[str, tuple[float, float]]
    verified: str

    def rate(self, target: str, connections: int) -> float:
        return median(self.runs(target, connections), "requests_per_second")

    def runs(self, target: str, connections: int, *, is_stream: bool = False) -> list[Run]:
        return self.figures[http_name(target, connections, is_stream=is_stream)]

    def added_ms(self, target: str, connections: int, *, is_stream: bool = False) -> float:
        """Median latency above the upstream's own."""
        runs, direct = (self.runs(name, connections, is_stream=is_stream) for name in (target, DIRECT))
        return median(runs, "p50_ms") - median(direct, "p50_ms")

    def pairs(self, budgets: str) -> float:
        return median(self.figures[core_name(budgets)], "pairs_per_second")

    def failed(self) -> int:
        return sum(run.get("failed", 0) for runs in self.figures.values() for run in runs)

    def goals(self) -> list[Goal]:
        ours = self.rate(CONTENDED, 32)
        cpu_ms = median(self.runs(CONTENDED, 32), "gateway_cpu_ms")
        return [
            Goal("throughput at 32, times LiteLLM's", ours / self.rate(LITELLM, 32), 15, True),
            Goal("throughput at 32, times Portkey's", ours / self.rate(PORTKEY, 32), 1.2, True),
            Goal("gateway CPU a request at 32, ms", cpu_ms, 0.5, False),
            Goal("resident memory after the load, MB", self.memory_mb[CONTENDED][1], 150, False),
            Goal("added latency at 1, p50, ms", self.added_ms(CONTENDED, 1), 2.5, False),
            Goal("the same, of LiteLLM's", self.added_ms(CONTENDED, 1) / self.added_ms(LITELLM, 1), 0.5, False),
            Goal(
                "one hot budget, of the same load spread", self.pairs(ONE_BUDGET) / self.pairs(MANY_BUDGETS), 0.9, True
            ),
        ]

    def holds(self) -> bool:
        return not self.failed() and all(goal.is_met for goal in self.goals())


def write(results: Results, folder: Path) -> str:
    """The Markdown; both forms are kept in `folder`."""
    taken_at = datetime.now(UTC).replace(microsecond=0)
    text = "\n\n".join(
        (
            f"Taken {taken_at:%Y-%m-%d %H:%M} UTC on {machine()}.",
            f"{versions()}.",
            _main_table(results),
            _worker_note(results),
            _memory_table(results),
            _hot_table(results),
            _processes_table(results),
            goal_table(results.goals()),
            f"Failed requests: {results.failed()}. `ledger_verify` afterwards: {results.verified}",
        )
    )
    (folder / "results.md").write_text(text + "\n")
    record = {"taken_at": taken_at.isoformat(), "machine": machine(), "versions": versions(), **_plain(results)}
    (folder / "results.json").write_text(json.dumps(record, indent=1) + "\n")
    return text


def put_into_document(section: str, text: str, *, document: Path = DOCUMENT) -> None:
    """Between the two comments that name the section."""
    begins, ends = f"<!-- {section} -->", f"<!-- end of {section} -->"
    before, found, rest = document.read_text().partition(begins)
    _, is_whole, after = rest.partition(ends)
    if not found or not is_whole:
        raise ValueError(f"{document.name} has no section between {begins} and {ends}.")
    document.write_text(f"{before}{begins}\n\n{text}\n\n{ends}{after}")


def _plain(results: Results) -> dict[str, Any]:
    goals = {goal.name: {"value": goal.value, "bound": goal.bound, "met": goal.is_met} for goal in results.goals()}
    return {"figures": results.figures, "memory_mb": results.memory_mb, "goals": goals, "verified": results.verified}


def machine() -> str:
    cpus = Path("/proc/cpuinfo").read_text().split("model name")
    model = cpus[1].split("\n")[0].strip("\t :") if len(cpus) > 1 else platform.machine()
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"Linux {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores ({model}), {memory_gb:.0f} GB, {system}"


def versions() -> str:
    pinned = ", ".join((peers.LITELLM[0], peers.PORTKEY, peers.NODE[0]))
    return f"Daphne {version('daphne')}, PostgreSQL 16 with durable commits; peers: {pinned}"


def _main_table(results: Results) -> str:
    kinds = [(connections, False) for connections in CONCURRENCIES] + [(32, True)]
    rows = [
        _main_row(results, name, at, is_stream=is_stream)
        for at, is_stream in kinds
        for name in TARGETS
        if http_name(name, at, is_stream=is_stream) in results.figures
    ]
    return table(
        (
            "",
            "callers",
            "requests/s",
            "p50 ms",
            "p99 ms",
            "added p50 ms",
            "gateway CPU ms",
            "Postgres CPU ms",
            "worker CPU ms",
            "WAL bytes",
        ),
        rows,
    )


def _main_row(results: Results, target: str, connections: int, *, is_stream: bool) -> tuple[str, ...]:
    runs = results.runs(target, connections, is_stream=is_stream)
    added = "" if target == DIRECT else f"{results.added_ms(target, connections, is_stream=is_stream):.2f}"
    return (
        f"{target}, streamed" if is_stream else target,
        str(connections),
        f"{median(runs, 'requests_per_second'):,.0f}",
        f"{median(runs, 'p50_ms'):.2f}",
        f"{median(runs, 'p99_ms'):.2f}",
        added,
        optional(runs, "gateway_cpu_ms", ".3f"),
        optional(runs, "postgres_cpu_ms", ".3f"),
        optional(runs, "worker_cpu_ms", ".3f"),
        optional(runs, "wal_bytes", ",.0f"),
    )


def optional(runs: list[Run], name: str, form: str) -> str:
    return format(median(runs, name), form) if name in runs[0] else ""


def _worker_note(results: Results) -> str:
    runs = results.runs(WORKER, WORKER_CALLERS)
    waiting, answered = median(runs, "waiting_messages"), median(runs, "answered")
    return f"With the worker running, {waiting:,.0f} facts of a run's {answered:,.0f} waited for it when the run ended."


def _memory_table(results: Results) -> str:
    rows = [(name, f"{before:.0f}", f"{after:.0f}") for name, (before, after) in results.memory_mb.items()]
    return table(("resident memory, MB", "at start", "after the load"), rows)


def _hot_table(results: Results) -> str:
    rows = []
    for name, label in ((ONE_BUDGET, "one budget, 64 callers"), (MANY_BUDGETS, "64 budgets, 64 callers")):
        core, http = results.figures[core_name(name)], results.runs(name, HOT_CALLERS)
        figures = (median(core, "pairs_per_second"), median(http, "requests_per_second"), median(http, "p99_ms"))
        rows.append((label, *(f"{figure:,.0f}" for figure in figures)))
    return table(("reserve + settle pairs a second", "money core alone", "over HTTP", "p99 ms over HTTP"), rows)


def _processes_table(results: Results) -> str:
    rows = [(name, f"{results.rate(name, HOT_CALLERS):,.0f}") for name in (ONE_PROCESS, TWO_PROCESSES)]
    return table(("one port, 64 callers", "requests/s"), rows)


def goal_table(goals: Iterable[Goal]) -> str:
    rows = [(goal.name, f"{goal.value:,.2f}", goal.wanted, "yes" if goal.is_met else "NO") for goal in goals]
    return table(("goal", "measured", "wanted", "met"), rows)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    ruled = ("---", *("---:" for _ in head[1:]))
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ruled, *rows))


def write_history(figures: Figures, ratios: dict[str, float], *, entries: int, folder: Path) -> str:
    rows = [(name, f"{ratio:.3f}") for name, ratio in ratios.items()]
    ruled = table((f"{entries:,} past entries, of an empty ledger", "ratio"), rows)
    text = f"Taken {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {machine()}.\n\n{ruled}"
    (folder / "history.md").write_text(text + "\n")
    record = {"machine": machine(), "entries": entries, "ratios": ratios, "figures": figures}
    (folder / "history-results.json").write_text(json.dumps(record, indent=1) + "\n")
    return text
