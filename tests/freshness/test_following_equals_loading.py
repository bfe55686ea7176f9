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
from hypothesis import strategies as st

from apps.gateway.rules import OrganizationRules
from apps.keys.issuing import issue
from apps.orgs.units import create_unit
from tests.budgets import money
from tests.databases import Database
from tests.freshness.changes import STATEMENTS, Change, Memory, commit, remembering
from tests.gateway.company import make_company
from tests.gateway.governing import draft, freeze, in_force, in_shadow

# Routes are worked out as requests come, and begin empty.
COMPARED = [field.name for field in fields(OrganizationRules) if field.name != "routes"]

changes = st.builds(
    Change,
    statement=st.sampled_from(STATEMENTS),
    n=st.integers(0, 9),
    is_first=st.booleans(),
    is_rolled_back=st.sampled_from([False, False, False, True]),
)
transactions = st.tuples(st.lists(changes, min_size=1, max_size=6), st.sampled_from([True, True, True, False]))
histories = st.lists(st.lists(transactions, min_size=1, max_size=3), min_size=1, max_size=5)


# Of these tables use cases make rows only beside requests.
MORE = [text for text in STATEMENTS if text.startswith(("INSERT INTO budgets_budgetoverride", "WITH review"))]


@pytest.fixture
def organizations(database: Database) -> list[UUID]:
    """Two, with some of everything."""
    ids = []
    for _ in range(2):
        company = make_company("")
        team = create_unit(organization=company.organization, kind="team", name="Red", acting="test")
        agents = [
            create_unit(
                organization=company.organization, kind="agent", name=f"Agent {number}", parents=[team], acting="test"
            )
            for number in range(3)
        ]
        for agent in agents:
            issue(organization=company.organization, actor=agent, grants=["openai/*", "google/*"], acting="test")
            money.make_budget(company.organization, 100, agent)
        create_unit(organization=company.organization, kind="agent", name="Alone", acting="test")
        issue(organization=company.organization, actor=agents[0], acting="test")
        money.make_budget(company.organization, 100)
        money.make_budget(company.organization, 100, team, applies_to_each="agent")
        draft(company, "review", {})
        in_force(company, "allowlist", {"models": ["openai/*"]}, unit=team)
        in_shadow(company, "review", {})
        freeze(company, unit=team)
        ids.append(company.organization.id)
    for organization, other in (ids, reversed(ids)):
        commit(database.connect(), [Change(statement, 1) for statement in MORE], [organization, other], stays=True)
    return ids


def assert_equal(followed: OrganizationRules, loaded: OrganizationRules) -> None:
    for name in COMPARED:
        assert getattr(followed, name) == getattr(loaded, name), name
    assert not followed.routes


@given(history=histories)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_after_any_history_of_changes(
    database: Database, organizations: Sequence[UUID], history: list[list[tuple[list[Change], bool]]]
) -> None:
    writer = database.connect()

    async def play(*memories: Memory) -> None:
        for step in history:
            for made, stays in step:
                commit(writer, made, organizations, stays=stays)
            for memory in memories:
                await memory.follow()
                assert memory.rules is not None
                assert_equal(memory.rules, memory.load())

    remembering(database.url, organizations, play)
    writer.close()


RULE_CHANGES = [text for text in STATEMENTS if not text.startswith(("SET", "TRUNCATE"))]


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
