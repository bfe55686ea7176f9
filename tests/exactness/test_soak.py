"""Minutes of everything at once: callers on overlapping scopes, and somebody who changes caps, keys and the graph."""

import random
import threading
import time
from itertools import cycle

import pytest

from apps.budgets.capping import archive_cap, change_amount
from apps.budgets.models import Budget
from apps.keys.revoking import revoke
from apps.orgs.models import Unit
from apps.orgs.units import create_unit, move
from tests.concurrency.callers import meanwhile, watched
from tests.databases import Database
from tests.exactness.books import above_a_cap, check_books
from tests.exactness.load import Caller, run_once, run_while, statuses
from tests.gateway.company import Company
from tests.gateway.conftest import Sandbox

SECONDS = 180
AT_ONCE = 48
PLENTY = 10**15


class Administrator:
    """Makes one change after the other, and looks whether it binds."""

    def __init__(self, company: Company, teams: list[Unit], agents: list[Unit], seed: int) -> None:
        self.company, self.teams, self.agents = company, teams, agents
        self.random = random.Random(seed)
        self.callers: list[Caller] = []
        self.lowered = company.cap(PLENTY, period_kind="year")

    def change(self) -> None:
        self.random.choice([self.move_an_agent, self.lower_and_raise, self.come_and_go, self.issue_and_revoke])()

    def move_an_agent(self) -> None:
        parents = self.random.sample(self.teams, self.random.randint(1, 2))
        move(self.random.choice(self.agents), organization=self.company.organization, parents=parents, acting="test")

    def lower_and_raise(self) -> None:
        change_amount(self.lowered, amount=1, acting="test")
        assert self.ask(self.company.key) == 402
        change_amount(self.lowered, amount=PLENTY, acting="test")

    def come_and_go(self) -> None:
        budget: Budget = self.company.cap(PLENTY, unit=self.random.choice(self.teams), period_kind="month")
        time.sleep(0.05)
        archive_cap(budget.id, organization=self.company.organization, acting="test")

    def issue_and_revoke(self) -> None:
        issued = self.company.another_key(actor=self.random.choice(self.agents))
        assert self.ask(issued.key) in (200, 402, 429)
        revoke(issued.record.key_id, acting="test")
        assert self.ask(issued.key) == 401

    def ask(self, key: str) -> int:
        caller = Caller(self.company.gateway_url, key)
        self.callers.append(caller)
        run_once([caller])
        return caller.answers[0].status


@pytest.mark.system
@pytest.mark.timeout(SECONDS + 120)
def test_minutes_of_changes_under_load_leave_the_books_right(
    company: Company, urls: list[str], sandbox: Sandbox, shared_database: Database
) -> None:
    organization = company.organization
    teams = [create_unit(organization=organization, kind="team", name=str(n), acting="test") for n in range(3)]
    agents = [
        create_unit(organization=organization, kind="agent", name=f"Agent {n}", parents=[teams[n % 3]], acting="test")
        for n in range(6)
    ]
    administrator = Administrator(company, teams, agents, seed=11)
    keys = [company.another_key(actor=agent).key for agent in agents]
    company.cap(40 * SECONDS, applies_to_each="agent", measure="requests")
    callers = [
        Caller(url, key, request)
        for url, key, request, _ in zip(
            cycle(urls), cycle(keys), cycle([{}, {"stream": True}, {}, {}, {"stream": True}]), range(AT_ONCE),
            strict=False,
        )
    ]  # fmt: skip
    is_over = threading.Event()
    hard = above_a_cap(organization) + f" AND b.id <> '{administrator.lowered.id}'"
    with watched(shared_database, hard) as passed, meanwhile(lambda: run_while(callers, lambda: not is_over.is_set())):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            administrator.change()
        is_over.set()
    assert passed == []
    # Where the rules change between each load and its reserve three times in a row, a request is told to try again.
    assert set(statuses(callers)) <= {200, 402, 429, 503}
    assert statuses(callers)[503] < 0.1 * statuses(callers).total()
    assert statuses(callers)[200] > 10 * SECONDS
    check_books(organization, sandbox.url, [*callers, *administrator.callers])
