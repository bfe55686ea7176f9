"""Whatever changed, and in transactions of whatever shape: the rules that a gateway makes of those it held and of what
was noted since are, field by field, those that a load of all of them gives at that moment."""

import threading
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from apps.gateway.rules import OrganizationRules
from tests.databases import Database
from tests.freshness.changes import RULE_CHANGES, Change, History, Memory, commit, histories, remembering

# Routes are worked out as requests come, and begin empty.
COMPARED = [field.name for field in fields(OrganizationRules) if field.name not in ("routes", "kept")]


def assert_equal(followed: OrganizationRules, loaded: OrganizationRules) -> None:
    for name in COMPARED:
        assert getattr(followed, name) == getattr(loaded, name), name
    assert not followed.routes


@given(history=histories)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_after_any_history_of_changes(database: Database, organizations: Sequence[UUID], history: History) -> None:
    async def play(*memories: Memory) -> None:
        for step in history:
            for made, stays in step:
                commit(writer, made, organizations, stays=stays)
            for memory in memories:
                await memory.follow()
                assert memory.rules is not None
                assert_equal(memory.rules, memory.load())

    with psycopg.connect(database.url, autocommit=True) as writer:
        remembering(database.url, organizations, play)


@pytest.mark.parametrize("statement", RULE_CHANGES)
def test_after_each_kind_of_change_nothing_is_loaded(
    database: Database, organizations: Sequence[UUID], statement: str
) -> None:
    writer = database.connect()

    def change() -> bool:
        """The statement, on the first row that lets it."""
        before = tokens(writer)
        return any(
            commit(writer, [Change(statement, n)], organizations, stays=True) and tokens(writer) != before
            for n in range(10)
        )

    async def play(*memories: Memory) -> None:
        assert change()
        for memory in memories:
            assert await memory.follow() is not None
            assert_equal(memory.rules, memory.load())

    remembering(database.url, organizations, play)


def tokens(session: psycopg.Connection[Any]) -> list[Any]:
    return session.execute("SELECT id, token FROM budgets_governanceversion ORDER BY id").fetchall()


def test_amid_changes_of_many_writers(database: Database, organizations: Sequence[UUID]) -> None:
    """A load comes at another moment: compared are those that found the same token."""
    is_over = threading.Event()
    compared = 0

    def change(first: int) -> None:
        with psycopg.connect(database.url, autocommit=True) as writer:
            n = first
            while not is_over.is_set():
                made = [Change(RULE_CHANGES[(n + i * 5) % len(RULE_CHANGES)], n % 10, n % 2 == 0) for i in range(3)]
                commit(writer, made, organizations, stays=True)
                n += 1

    async def play(*memories: Memory) -> None:
        nonlocal compared
        for _ in range(60):
            for memory in memories:
                await memory.follow()
                assert memory.rules is not None
                loaded = memory.load()
                if loaded.token == memory.rules.token:
                    assert_equal(memory.rules, loaded)
                    compared += 1
                    is_over.wait(0.002)
        assert all(memory.follows == 60 for memory in memories)

    writers = [threading.Thread(target=partial(change, number * 13)) for number in range(3)]
    for writer in writers:
        writer.start()
    try:
        remembering(database.url, organizations, play)
    finally:
        is_over.set()
        for writer in writers:
            writer.join()
    assert compared >= 10
