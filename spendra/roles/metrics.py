"""What `GET /metrics` answers: this process's prometheus_client registry, summed with those of its siblings.

Counting stays in each process's memory: prometheus_client's own multi-process mode writes every update to a shared
file, two and a half times the cost on the hot path. Whichever process is asked for the metrics asks the others, each
over a Unix socket. Counters and histograms are summed; a gauge is one process's state, so each keeps its own, told
apart by the label `process`. What all of them know of the database is told once, by the process that is asked.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import Metric

from spendra.kernel.errors import Busy

disable_created_metrics()  # type: ignore[no-untyped-call]

_SUMMED = frozenset({"counter", "histogram", "summary"})
_SECONDS = 2.0

Family = tuple[str, str, str, list[tuple[str, dict[str, str], float]]]


class Exposition:
    """Of one process that has no siblings."""

    async def startup(self) -> None: ...

    async def drain(self) -> None: ...

    async def shutdown(self) -> None: ...

    async def text(self) -> bytes:
        return generate_latest(REGISTRY)


class SharedExposition(Exposition):
    """Of one of several processes on a port; `folder` is theirs alone and private to their user."""

    def __init__(self, folder: Path, index: int, *, told_once: frozenset[str] = frozenset()) -> None:
        self._folder = folder
        self._index = index
        self._told_once = told_once

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._index}.metrics"

    async def startup(self) -> None:
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._tell, self._path)

    async def shutdown(self) -> None:
        self._server.close()
        self._path.unlink(missing_ok=True)

    async def text(self) -> bytes:
        paths = [path for path in self._folder.glob("*.metrics") if path != self._path]
        told = await asyncio.gather(*(_ask(path) for path in paths))
        answers = [(self._index, _families()), *(answer for answer in told if answer is not None)]
        return generate_latest(_Collected(_merge(answers, self._told_once)))

    async def _tell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(json.dumps((self._index, _families())).encode())
            await writer.drain()
        writer.close()


async def _ask(path: Path) -> tuple[int, list[Family]] | None:
    """None from a process that is dead. One that lives and does not tell is an error: sums without it would look to
    Prometheus like counters that were reset."""
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_unix_connection(path)
            data = await reader.read()
            writer.close()
        index, families = json.loads(data)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except (OSError, ValueError, TimeoutError) as error:
        raise Busy("another process of this gateway did not tell its metrics; try again") from error
    return index, families


def _families() -> list[Family]:
    return [
        (family.name, family.documentation, family.type, [(s.name, dict(s.labels), s.value) for s in family.samples])
        for family in REGISTRY.collect()
    ]


def _merge(answers: Iterable[tuple[int, list[Family]]], told_once: frozenset[str]) -> list[Metric]:
    merged: dict[str, Metric] = {}
    sums: dict[str, dict[tuple[str, frozenset[tuple[str, str]]], float]] = {}
    for index, families in answers:
        for name, documentation, kind, samples in families:
            if name in told_once and name in merged:
                continue
            merged.setdefault(name, Metric(name, documentation, kind))
            sum_of = sums.setdefault(name, {})
            for sample, labels, value in samples:
                own = labels if kind in _SUMMED or name in told_once else {**labels, "process": str(index)}
                key = (sample, frozenset(own.items()))
                sum_of[key] = sum_of.get(key, 0.0) + value
    for name, family in merged.items():
        for (sample, items), value in sums[name].items():
            family.add_sample(sample, dict(items), value)
    return list(merged.values())


class _Collected(CollectorRegistry):
    def __init__(self, families: list[Metric]) -> None:
        super().__init__()
        self._merged = families

    def collect(self) -> Iterator[Metric]:
        yield from self._merged
