"""`make bench-rules`: what many rules, and rules that change, cost a gateway.

A company of ten thousand keys, five thousand units, five thousand budgets and two thousand policies: decisions alone
(`bench.deciding`), loading and following (`bench.loading`), and changes beside requests (`bench.changes`). Exits 1
where a goal is missed.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from bench import changes, many_rules, report, spendra_target
from bench.__main__ import BENCH_FOLDER, canned_upstream
from bench.report import Goal
from bench.spendra_target import Database
from bench.targets import ROOT

LOADS = 5
LOAD_SECONDS = 1.0
_FOLLOWED = {
    "asking ms": "ask_ms",
    "applying ms": "apply_ms",
    "routes kept": "kept_routes",
    "next 32 routes ms": "next_ms",
}


@dataclass(frozen=True)
class Results:
    decisions: dict[str, Any]
    loads: list[dict[str, Any]]  # each of a process of its own
    beside: changes.Results

    def load(self, figure: str) -> float:
        return statistics.median(load[figure] for load in self.loads)

    def followed(self, kind: str, figure: str) -> float:
        return statistics.median(load["followed"][kind][figure] for load in self.loads)

    def goals(self) -> list[Goal]:
        rows = self.decisions["rows"]
        dearest = {bound: max(row["microseconds"] for row in rows if row["bound"] == bound)
                   for bound in sorted({row["bound"] for row in rows})}  # fmt: skip
        known, first = dearest.items()
        return [
            Goal("a whole load, s", self.load("load_seconds"), LOAD_SECONDS, False),
            Goal("the dearest decision, µs", known[1], known[0], False),
            Goal("the dearest first one after rules moved, µs", first[1], first[0], False),
            *self.beside.goals(),
        ]

    def holds(self) -> bool:
        return all(goal.is_met for goal in self.goals())


def decisions() -> dict[str, Any]:
    """Whether its goals are met is asked here, so that its exit status does not matter."""
    command = [sys.executable, "-m", "bench.deciding", "--json"]
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def load_again_and_again(database: Database) -> list[dict[str, Any]]:
    command = ("bench.loading", "--organization", changes.ORGANIZATION)
    return [spendra_target.run_module(*command, database_url=database.url) for _ in range(LOADS)]


def measure(how: changes.How) -> Results:
    decided = decisions()
    folder = BENCH_FOLDER / "changes"
    with canned_upstream() as upstream, changes.big_company(folder) as database:
        keys = changes.calling_keys(database, count=changes.CALLING_KEYS)
        loads = load_again_and_again(database)
        return Results(decided, loads, changes.measure(folder, database, upstream, keys, how))


def write(results: Results) -> str:
    """The Markdown; both forms are kept."""
    taken_at = datetime.now(UTC).replace(microsecond=0)
    text = "\n\n".join(
        (
            f"Taken {taken_at:%Y-%m-%d %H:%M} UTC on {report.machine()}.",
            _decision_table(results),
            _load_table(results),
            _follow_table(results),
            changes.table(results.beside),
            changes.profile(results.beside),
            changes.counting(results.beside),
            report.goal_table(results.goals()),
            f"`ledger_verify` afterwards: {results.beside.verified}",
        )
    )
    (BENCH_FOLDER / "rules.md").write_text(text + "\n")
    record = {"taken_at": taken_at.isoformat(), "machine": report.machine(), **asdict(results)}
    (BENCH_FOLDER / "rules-results.json").write_text(json.dumps(record, indent=1) + "\n")
    return text


def _decision_table(results: Results) -> str:
    rows = [(row["name"], f"{row['microseconds']:.1f}", f"{row['bound']:g}") for row in results.decisions["rows"]]
    return report.table(("one decision", "µs", "at most"), rows)


def _load_table(results: Results) -> str:
    size = f"{many_rules.KEYS + changes.CALLING_KEYS:,} keys, " + ", ".join(
        f"{many_rules.SIZES[name]:,} {name}" for name in ("units", "budgets", "policies")
    )
    policies, budgets = results.decisions["policies"], results.decisions["budgets"]
    rows = [
        (f"a whole load, s (median of {LOADS} processes)", f"{results.load('load_seconds'):.2f}"),
        ("a first request of a new gateway, load included, s", f"{results.beside.first_request_seconds:.2f}"),
        ("resident memory of a gateway that holds them, at rest, MB", f"{results.beside.resident_mb:.0f}"),
        ("of it, grown by that first request, MB", f"{results.beside.grown_mb:.0f}"),
        ("policies that concern one decision above, at most", str(policies)),
        ("budgets, at most", str(budgets)),
    ]
    return report.table((size, ""), rows)


def _follow_table(results: Results) -> str:
    rows = [
        (kind.replace("_", " "), *(f"{results.followed(kind, figure):.2f}" for figure in _FOLLOWED.values()))
        for kind in results.loads[0]["followed"]
    ]
    return report.table(("one change of", *_FOLLOWED), rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-rules", description=__doc__)
    changes.add_options(parser)
    parser.add_argument("--document", action="store_true", help="put the tables into docs/performance.md")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = measure(changes.How(asked.rounds, asked.seconds, asked.connections))
    text = write(results)
    print(text)
    if asked.document:
        report.put_into_document("rules", text)
    return 0 if results.holds() else 1


if __name__ == "__main__":
    sys.exit(main())
