"""`make bench-scale`: what ten million requests cost to keep, to ask and to prove, and a year of them.

Measures a copy of the database that `make bench-history` builds and keeps, which it builds where it is not there. The
copy goes afterwards. `--document` writes the tables of docs/scale.md.
"""

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from bench import report, spendra_target
from bench.__main__ import BENCH_FOLDER, canned_upstream
from bench.history import EMPTY, FULL, History, full_keys
from bench.spendra_target import Database

COPY = "scale"
ORGANIZATION = "bench"
RATES = (1, 10, 100)
SECTIONS = ("machine", "tables", "year", "rollups", "questions", "pages", "jobs")
SECONDS_A_YEAR, MONTHS_A_YEAR = 365 * 86_400, 12
A_MONTH_AT_10 = 10 * SECONDS_A_YEAR // MONTHS_A_YEAR
READS_WHAT_IS_NEW = "ledger_verify, again"
GB = 10**9


@contextmanager
def copied(history: History, name: str) -> Iterator[Database]:
    """A copy of that database, with its statistics and what vacuum has noted; dropped afterwards."""
    with psycopg.connect(history.server_url, autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{COPY}"')
        print("bench: copying the database …", file=sys.stderr, flush=True)
        server.execute(f'CREATE DATABASE "{COPY}" TEMPLATE "{name}" STRATEGY FILE_COPY')
        try:
            yield history.database(COPY)
        finally:
            server.execute(f'DROP DATABASE "{COPY}" WITH (FORCE)')


def measure(entries: int) -> dict[str, Any]:
    with canned_upstream() as upstream, spendra_target.durable_postgres(BENCH_FOLDER / "history") as server:
        assert server.pid is not None
        history = History(BENCH_FOLDER, server.start(), server.pid)
        history.make(EMPTY)
        full_keys(history, upstream, entries)
        with copied(history, FULL) as database:
            measuring = ("bench.scale_measuring", "--organization", ORGANIZATION)
            seen: dict[str, Any] = spendra_target.run_module(*measuring, database_url=database.url, role="dashboard")
            return seen


@dataclass(frozen=True)
class Results:
    seen: dict[str, Any]

    @property
    def requests(self) -> int:
        return int(self.seen["tables"]["budgets_reservation"]["rows"])

    def rows_a_request(self) -> float:
        return float(sum(table["rows"] for table in self.seen["tables"].values()) / self.requests)

    def bytes_a_request(self, *parts: str) -> float:
        return float(sum(table[part] for table in self.seen["tables"].values() for part in parts) / self.requests)

    def sections(self) -> dict[str, str]:
        """By the names that docs/scale.md has for them."""
        texts = (
            self._taken(),
            self._tables(),
            self.year(),
            self._rollups(),
            _asked(self.seen["questions"], "question"),
            _asked(self.seen["pages"], "page of the admin"),
            self._jobs(),
        )
        return dict(zip(SECTIONS, texts, strict=True))

    def _taken(self) -> str:
        seen = self.seen
        return (
            f"Taken {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {report.machine()}.\n\n"
            f"{self.requests:,} settled requests of {seen['agents']} agents in one month, {seen['scopes']} scopes and "
            f"{seen['periods']} budgets a request."
        )

    def _tables(self) -> str:
        rows = [
            self._size(f"`{name}`", table["rows"], table["heap"], table["indexes"])
            for name, table in self.seen["tables"].items()
        ]
        whole = [sum(table[part] for table in self.seen["tables"].values()) for part in ("rows", "heap", "indexes")]
        head = ("table", "rows", "rows a request", "bytes a request", "of them heap", "of them indexes", "GB")
        return report.table(head, [*rows, self._size("together", *whole)])

    def _size(self, name: str, rows: int, heap: int, indexes: int) -> tuple[str, ...]:
        of_request = (f"{size / self.requests:,.0f}" for size in (heap + indexes, heap, indexes))
        return (name, f"{rows:,}", f"{rows / self.requests:.2f}", *of_request, f"{(heap + indexes) / GB:.2f}")

    def year(self) -> str:
        head = ("requests a second", "requests a year", "rows", "GB", "GB a month")
        return report.table(head, map(self._year_at, RATES))

    def _year_at(self, rate: int) -> tuple[str, ...]:
        requests = rate * SECONDS_A_YEAR
        size = requests * self.bytes_a_request("heap", "indexes") / GB
        rows = requests * self.rows_a_request()
        return (
            str(rate),
            f"{requests / 1e6:,.1f} million",
            f"{rows / 1e6:,.0f} million",
            f"{size:,.1f}",
            f"{size / MONTHS_A_YEAR:,.1f}",
        )

    def _rollups(self) -> str:
        rows = [
            (f"`{name}`", f"{table['rows']:,}", f"{(table['heap'] + table['indexes']) / 1e6:,.1f}",
             f"{(table['heap'] + table['indexes']) / max(table['rows'], 1):,.0f}")
            for name, table in self.seen["rollups"].items()
        ]  # fmt: skip
        return report.table(("rollup", "rows", "MB", "bytes a row"), rows)

    def _jobs(self) -> str:
        head = ("job", "seconds", "µs a request", "computed: a month at 10 a second")
        return report.table(head, (self._job(name, seconds) for name, seconds in self.seen["jobs"].items()))

    def _job(self, name: str, seconds: float) -> tuple[str, ...]:
        if name == READS_WHAT_IS_NEW:
            return (name, f"{seconds:,.1f}", "", "")
        of_request = seconds / self.requests
        return (name, f"{seconds:,.1f}", f"{of_request * 1e6:.2f}", _duration(of_request * A_MONTH_AT_10))


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _asked(rows: list[dict[str, Any]], what: str) -> str:
    return report.table((what, "reads", "median ms"), [(r["question"], r["reads"], f"{r['ms']:.1f}") for r in rows])


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-scale", description=__doc__)
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--document", action="store_true", help="put the tables into docs/scale.md")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seen = measure(asked.entries)
    sections = Results(seen).sections()
    (BENCH_FOLDER / "scale-results.json").write_text(json.dumps({"machine": report.machine(), **seen}, indent=1) + "\n")
    (BENCH_FOLDER / "scale.md").write_text("\n\n".join(sections.values()) + "\n")
    print("\n\n".join(sections.values()))
    if asked.document:
        for name, text in sections.items():
            report.put_into_document(name, text, document=report.SCALE_DOCUMENT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
