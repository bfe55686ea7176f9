"""What the benchmarks run on our side works, and leaves books that are right."""

import dataclasses
from collections.abc import Iterator

import psycopg
import pytest

from bench import past, spendra_target
from bench.__main__ import canned_upstream
from bench.scenarios import on_money_core
from bench.spendra_target import Database
from bench.targets import Target

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with spendra_target.fresh_database(tmp_path_factory.mktemp("bench")) as database:
        yield database


@pytest.fixture(scope="module")
def target(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    keys = spendra_target.populate(database)
    folder = tmp_path_factory.mktemp("gateway")
    with canned_upstream() as upstream, spendra_target.gateway(folder, database, upstream) as target:
        yield dataclasses.replace(target, keys=tuple(keys["spread"]))


@pytest.mark.parametrize("is_stream", [False, True])
def test_every_measured_request_is_governed(database: Database, target: Target, is_stream: bool) -> None:
    before = entries(database)
    seen = target.measure(connections=4, seconds=0.5, warmup=0.2, is_stream=is_stream)
    assert seen["failed"] == 0
    assert seen["wal_bytes"] > 500
    assert seen["gateway_cpu_ms"] > 0
    assert "The books are right" in database.verify()
    assert entries(database) == before + seen["answered"]


def test_the_money_core_alone_can_be_driven(database: Database, target: Target) -> None:
    seen = on_money_core("one", database, callers=8, seconds=0.5, actor="hot").run()
    assert seen["pairs_per_second"] > 10
    assert "The books are right" in database.verify()


def test_an_added_past_is_as_right_as_a_lived_one(database: Database, target: Target) -> None:
    target.measure(connections=len(target.keys), seconds=0.5, warmup=0)
    before = entries(database)
    past.add(database.url, entries=3_000)
    assert entries(database) == before + 3_000
    assert "The books are right" in database.verify()


def entries(database: Database) -> int:
    with psycopg.connect(database.url) as connection:
        row = connection.execute("SELECT count(*) FROM ledger_ledgerentry").fetchone()
    return int(row[0]) if row else 0
