"""What is measured, and one measurement of it."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parents[1]
# What an SDK sends along; every target gets the same.
CLIENT_HEADERS = ("user-agent: OpenAI/Python 2.54.0", "accept: application/json", "x-stainless-lang: python")
BODY: dict[str, Any] = {
    "model": "gpt-4.1-mini",
    "max_tokens": 100,
    "messages": [
        {"role": "system", "content": "You are a careful assistant. Answer in two sentences."},
        {"role": "user", "content": "What does a reservation hold, and when is it given back?"},
    ],
}


@dataclass(frozen=True)
class Target:
    """`pid` is the root of the gateway's processes. Connections take the keys in turn."""

    name: str
    url: str
    pid: int | None = None
    headers: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    streams: bool = True
    postgres_pid: int | None = None
    database_url: str = ""
    worker_pid: int | None = None

    def measure(self, *, connections: int, seconds: float, warmup: float, is_stream: bool = False) -> dict[str, Any]:
        """One run of the load client in a process of its own. Adds the WAL that the whole run wrote, a request."""
        wal_before = self._wal_position()
        ran = subprocess.run(
            self._command(connections=connections, seconds=seconds, warmup=warmup, is_stream=is_stream),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
        )
        seen: dict[str, Any] = json.loads(ran.stdout)
        requests = max(seen["requests"], 1)
        for name, cpu_seconds in seen.pop("cpu_seconds").items():
            seen[f"{name}_cpu_ms"] = cpu_seconds * 1000 / requests
        if self.database_url:
            seen["wal_bytes"] = (self._wal_position() - wal_before) / max(seen["answered"], 1)
        return seen

    def _command(self, *, connections: int, seconds: float, warmup: float, is_stream: bool) -> list[str]:
        body = {**BODY, "stream": True} if is_stream else BODY
        command = [sys.executable, "-m", "bench.load", self.url, "--body", _as_sdks_write(body)]
        command += ["--connections", str(connections), "--seconds", str(seconds), "--warmup", str(warmup)]
        command += [part for header in CLIENT_HEADERS + self.headers for part in ("--header", header)]
        command += [part for key in self.keys for part in ("--key", key)]
        watched = {"gateway": self.pid, "postgres": self.postgres_pid, "worker": self.worker_pid}
        return command + [part for name, pid in watched.items() if pid for part in ("--watch", f"{name}={pid}")]

    def _wal_position(self) -> int:
        if not self.database_url:
            return 0
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')").fetchone()
        return int(row[0]) if row else 0


def _as_sdks_write(body: dict[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)
