"""`make bench-history`: does a request cost more when millions came before it?

Two databases on one server, one with ten million past entries, one with none; a gateway on each; runs take turns. The
full one is kept under .spendra/bench for the next time. Exits 1 where it makes a median more than a tenth higher.
"""

import argparse
import dataclasses
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from bench import past, report, spendra_target
from bench.__main__ import BENCH_FOLDER, canned_upstream
from bench.scenarios import Figures, core_name, http_name, interleave, median, on_money_core, over_http
from bench.spendra_target import Database
from bench.targets import Target

EMPTY, FULL = "empty", "full"
FIRST_REQUESTS_SECONDS = 3
CONCURRENCIES = (1, 32)
CALLERS = 64
TOLERANCE = 0.10

# Differs as soon as a table or a function does.
SCHEMA = """
    SELECT md5((SELECT string_agg(proname || prosrc, '' ORDER BY proname, prosrc) FROM pg_proc
                WHERE pronamespace = 'public'::regnamespace)
            || (SELECT string_agg(table_name || column_name || data_type, '' ORDER BY table_name, column_name)
                FROM information_schema.columns WHERE table_schema = 'public'))
"""


class History:
    """The two databases of one server."""

    def __init__(self, folder: Path, server_url: str, postgres_pid: int) -> None:
        self._note = folder / "history.json"
        self.server_url, self._postgres_pid = server_url, postgres_pid

    def database(self, name: str) -> Database:
        return Database(f"{self.server_url.rpartition('/')[0]}/{name}", self._postgres_pid)

    def make(self, name: str) -> list[str]:
        """A new one; returns a key for each of its spenders."""
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}"')
            connection.execute(f'CREATE DATABASE "{name}"')
        self.database(name).manage("migrate", "--verbosity", "0")
        return spendra_target.populate(self.database(name), with_rules=False)["spread"]

    def kept_keys(self, entries: int) -> list[str] | None:
        """Of the full database of an earlier run, where it is still what this run needs. Asks for the empty one."""
        note = json.loads(self._note.read_text()) if self._note.exists() else {}
        if note.get("entries") != entries or note.get("schema") != self._schema(EMPTY):
            return None
        keys: list[str] = note["keys"]
        return keys

    def keep(self, keys: list[str], entries: int) -> None:
        self._note.write_text(json.dumps({"entries": entries, "schema": self._schema(FULL), "keys": keys}))

    def _schema(self, name: str) -> str:
        with psycopg.connect(self.database(name).url) as connection:
            row = connection.execute(SCHEMA).fetchone()
        return str(row[0]) if row else ""


@contextmanager
def serving(database: Database, keys: list[str], upstream: str, name: str) -> Iterator[Target]:
    with spendra_target.gateway(BENCH_FOLDER, database, upstream) as target:
        yield dataclasses.replace(target, name=name, keys=tuple(keys))


def full_keys(history: History, upstream: str, entries: int) -> list[str]:
    keys = history.kept_keys(entries)
    if keys is None:
        keys = history.make(FULL)
        with serving(history.database(FULL), keys, upstream, FULL) as target:  # a pattern for the past
            target.measure(connections=len(keys), seconds=FIRST_REQUESTS_SECONDS, warmup=0)
        past.add(history.database(FULL).url, entries=entries)
        history.keep(keys, entries)
    return keys


def compare(history: History, upstream: str, asked: argparse.Namespace) -> Figures:
    keys = {EMPTY: history.make(EMPTY)}
    keys[FULL] = full_keys(history, upstream, asked.entries)
    with ExitStack() as stack:
        names = (EMPTY, FULL)
        targets = [stack.enter_context(serving(history.database(name), keys[name], upstream, name)) for name in names]
        for target in targets:
            target.measure(connections=8, seconds=2, warmup=1)
        figures: Figures = {}
        for connections in CONCURRENCIES:
            scenarios = [over_http(target, connections=connections, seconds=asked.seconds) for target in targets]
            figures |= interleave(scenarios, rounds=asked.rounds)
        cores = [on_money_core(n, history.database(n), callers=CALLERS, seconds=asked.seconds) for n in names]
        return figures | interleave(cores, rounds=asked.rounds)


def ratios(figures: Figures) -> dict[str, float]:
    """What the full ledger does to each median: 1 is nothing, 1.1 a tenth slower or dearer."""
    found = {}
    for connections in CONCURRENCIES:
        empty, full = (figures[http_name(name, connections)] for name in (EMPTY, FULL))
        for figure in ("p50_ms", "gateway_cpu_ms", "postgres_cpu_ms"):
            found[f"{figure} at {connections}"] = median(full, figure) / median(empty, figure)
    cores = (figures[core_name(name)] for name in (EMPTY, FULL))
    empty_rate, full_rate = (median(core, "pairs_per_second") for core in cores)
    found["time a pair on the money core"] = empty_rate / full_rate
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench-history", description=__doc__)
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0, help="measured in each run")
    parser.add_argument("--document", action="store_true", help="put the table into docs/performance.md")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with canned_upstream() as upstream, spendra_target.durable_postgres(BENCH_FOLDER / "history") as server:
        assert server.pid is not None
        figures = compare(History(BENCH_FOLDER, server.start(), server.pid), upstream, asked)
    found = ratios(figures)
    text = report.write_history(figures, found, entries=asked.entries, folder=BENCH_FOLDER)
    print(text)
    if asked.document:
        report.put_into_document("history", text)
    return 0 if all(ratio <= 1 + TOLERANCE for ratio in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
