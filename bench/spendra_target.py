"""Spendra as a target: one gateway as `manage.py gateway` starts it, on an embedded Postgres with durable commits."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from bench import processes, stages
from bench.targets import ROOT, Target
from spendra.development.embedded_postgres import EmbeddedPostgres
from spendra.development.embedded_postgres.ports import free_port

# fsync, synchronous_commit and full_page_writes are on. The log may grow, so that no checkpoint falls into one run and
# not into another.
POSTGRES_SETTINGS = {"max_wal_size": "8GB", "checkpoint_timeout": "30min", "shared_buffers": "512MB"}
CATCH_UP_SECONDS = 300


@dataclass(frozen=True)
class Database:
    url: str
    postgres_pid: int

    def manage(self, *arguments: str) -> str:
        return run([sys.executable, "manage.py", *arguments], self.url)

    def verify(self) -> str:
        """What `ledger_verify` says; CalledProcessError where the books are wrong."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("ANALYZE")  # a month filled in minutes has no statistics yet
        return self.manage("ledger_verify").strip()

    def waiting_messages(self) -> int:
        """What the relay of a worker has not taken yet."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute("SELECT count(*) FROM outbox_outboxmessage").fetchone()
        return int(row[0]) if row else 0


def environment(database_url: str, upstream: str = "", *, role: str = "gateway") -> dict[str, str]:
    variables = {
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": f"spendra.settings.{role}",
        "SPENDRA_METRICS_BEARER_TOKEN": stages.TOKEN,
    }
    if upstream:
        variables |= {"OPENAI_BASE_URL": f"{upstream}/v1", "OPENAI_API_KEY": "sk-canned"}
    return processes.clean_environment(**variables)


def run(command: list[str], database_url: str, *, role: str = "gateway") -> str:
    ran = subprocess.run(
        command, cwd=ROOT, env=environment(database_url, role=role), stdout=subprocess.PIPE, text=True, check=True
    )
    return ran.stdout


def run_module(name: str, *arguments: str, database_url: str, role: str = "gateway") -> Any:
    return json.loads(run([sys.executable, "-m", name, *arguments], database_url, role=role))


@contextmanager
def durable_postgres(folder: Path, *, settings: dict[str, str] | None = None) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(folder, settings=POSTGRES_SETTINGS | (settings or {})) as server:
        yield server


@contextmanager
def fresh_database(bench_folder: Path) -> Iterator[Database]:
    """A migrated database that no earlier run has touched."""
    folder = bench_folder / "postgres"
    shutil.rmtree(folder, ignore_errors=True)
    with durable_postgres(folder) as server:
        assert server.pid is not None
        database = Database(server.start(), server.pid)
        database.manage("migrate", "--verbosity", "0")
        yield database


def populate(database: Database, *, with_rules: bool) -> dict[str, list[str]]:
    options = ["--rules"] if with_rules else []
    keys: dict[str, list[str]] = run_module("bench.populate", *options, database_url=database.url)
    return keys


@contextmanager
def gateway(bench_folder: Path, database: Database, upstream: str, *, count: int = 1) -> Iterator[Target]:
    """The command of the documentation; the keys are still to be given to the target."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "manage.py", "gateway", "--port", url.rpartition(":")[2], "--processes", str(count)]
    with processes.running(
        command,
        log=bench_folder / f"gateway-{count}.log",
        ready_url=f"{url}/health",
        environment=environment(database.url, upstream),
        folder=ROOT,
    ) as process:
        yield Target(
            name="Spendra",
            url=f"{url}/v1/chat/completions",
            pid=process.pid,
            postgres_pid=database.postgres_pid,
            database_url=database.url,
        )


@contextmanager
def worker(bench_folder: Path, database: Database) -> Iterator[int]:
    """Its process id, once it has nothing more to catch up with. DidNotEnd where it does not end whole."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "manage.py", "worker", "--metrics-port", url.rpartition(":")[2]]
    with processes.running(
        command,
        log=bench_folder / "worker.log",
        ready_url=f"{url}/health",
        environment=environment(database.url, role="worker"),
        folder=ROOT,
    ) as process:
        _catch_up(database)
        children = processes.tree(process.pid)
        yield process.pid
    if process.returncode or processes.still_running(children):
        raise processes.DidNotEnd(f"The worker ended with {process.returncode}: look into {bench_folder}/worker.log.")


def _catch_up(database: Database) -> None:
    deadline = time.monotonic() + CATCH_UP_SECONDS
    while waiting := database.waiting_messages():
        if time.monotonic() > deadline:
            raise processes.DidNotStart(f"After {CATCH_UP_SECONDS} s the worker still has {waiting} messages to take.")
        time.sleep(0.2)
