"""Gateways on one database: two of one process, and one of two processes that share a port; and organizations with
rules of every kind."""

from collections.abc import Iterator
from contextlib import ExitStack
from uuid import UUID

import pytest
from pytest_django.plugin import DjangoDbBlocker

from apps.keys.issuing import issue
from apps.orgs.units import create_unit
from tests import databases
from tests.budgets import money
from tests.databases import Database
from tests.freshness.changes import BESIDE_REQUESTS, Change, commit
from tests.freshness.doors import Doors, open_doors
from tests.gateway.company import Company, make_company
from tests.gateway.conftest import Sandbox, sandbox, shared_database
from tests.gateway.governing import draft, freeze, in_force, in_shadow
from tests.gateway.running import RunningGateway

__all__ = ["sandbox", "shared_database"]


@pytest.fixture(scope="session")
def two_gateways(
    shared_database: Database, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[RunningGateway]]:
    folder = tmp_path_factory.mktemp("two-gateways")
    with ExitStack() as running:
        logs = (folder / "first.log", folder / "second.log")
        yield [running.enter_context(RunningGateway(shared_database.url, sandbox.url, log)) for log in logs]


@pytest.fixture(scope="session")
def gateway_of_two(
    shared_database: Database, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    log = tmp_path_factory.mktemp("gateway-of-two") / "gateway.log"
    with RunningGateway(shared_database.url, sandbox.url, log, processes=2) as gateway:
        yield gateway


@pytest.fixture
def company(
    two_gateways: list[RunningGateway], shared_database: Database, django_db_blocker: DjangoDbBlocker
) -> Iterator[Company]:
    with django_db_blocker.unblock(), databases.as_default(shared_database):
        yield make_company(two_gateways[0].url)


@pytest.fixture
def doors(two_gateways: list[RunningGateway], company: Company) -> Iterator[Doors]:
    with open_doors(two_gateways, key=company.key) as doors:
        yield doors


@pytest.fixture
def doors_of_one_port(gateway_of_two: RunningGateway, company: Company) -> Iterator[Doors]:
    with open_doors([gateway_of_two], key=company.key) as doors:
        yield doors


@pytest.fixture(params=[100, pytest.param(500, marks=[pytest.mark.system, pytest.mark.timeout(600)])])
def rounds(request: pytest.FixtureRequest) -> int:
    """How often each change is made, in a row."""
    return int(request.param)


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
        made = [Change(statement, 1) for statement in BESIDE_REQUESTS]
        commit(database.connect(), made, [organization, other], stays=True)
    return ids
