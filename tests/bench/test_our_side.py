"""What the benchmarks run on our side works, and leaves books that are right."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench import past, processes, spendra_target
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
    keys = spendra_target.populate(database, with_rules=True)
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


def test_every_measured_request_is_held_to_three_caps_of_which_all_share_one(
    database: Database, target: Target
) -> None:
    target.measure(connections=8, seconds=0.3, warmup=0)
    lists = [set(row[0]) for row in rows(database, "SELECT DISTINCT period_ids FROM budgets_reservation")]
    assert {len(periods) for periods in lists} == {3}
    assert len(lists) > 1
    assert len(set.intersection(*lists)) == 1


def test_policies_of_every_kind_are_asked_about_each_measured_request(tmp_path: Path) -> None:
    with spendra_target.fresh_database(tmp_path) as database, canned_upstream() as upstream:
        keys = spendra_target.populate(database, with_rules=True)["contended"]
        with spendra_target.gateway(tmp_path, database, upstream) as target:
            seen = dataclasses.replace(target, keys=tuple(keys)).measure(connections=4, seconds=0.3, warmup=0)
        kinds = rows(database, "SELECT DISTINCT kind FROM policies_policy")
        shadow = rows(database, "SELECT asked, denied FROM policies_shadowcount")
    assert {kind for (kind,) in kinds} == {"allowlist", "per_request_limit", "review", "alert"}
    assert seen["failed"] == 0
    assert shadow == [(seen["answered"], seen["answered"])]


def test_a_worker_beside_is_counted_and_ends_whole(database: Database, target: Target, tmp_path: Path) -> None:
    with spendra_target.worker(tmp_path, database) as pid:
        assert database.waiting_messages() == 0
        family = processes.tree(pid)
        seen = dataclasses.replace(target, worker_pid=pid).measure(connections=4, seconds=1.5, warmup=0.2)
    assert len(family) > 3
    assert processes.still_running(family) == []
    assert seen["failed"] == 0
    assert seen["worker_cpu_ms"] > 0
    assert rows(database, "SELECT count(*) > 0 FROM ledger_dayrollup") == [(True,)]


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
    [(count,)] = rows(database, "SELECT count(*) FROM ledger_ledgerentry")
    return int(count)


def rows(database: Database, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.url) as connection:
        return connection.execute(statement).fetchall()
