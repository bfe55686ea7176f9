"""What changes while nobody asks is in memory before somebody does: that request finds its rules current."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.gateway import rules_watching
from apps.gateway.rules_store import RulesStore
from apps.gateway.rules_watching import RulesWatch
from apps.orgs.units import create_unit
from tests.databases import Database
from tests.gateway.company import Company, make_company
from tests.gateway.conftest import Sandbox
from tests.gateway.running import RunningGateway
from tests.observability.scraping import scrape
from tests.roles.commands import eventually

LOADS = "spendra_gateway_rules_loads_total"
# A request whose rules had moved asks twice: the first answer is `stale`.
RESERVES = "spendra_gateway_reserve_batch_size_sum"


@pytest.fixture
def gateway(database: Database, sandbox: Sandbox, tmp_path: Path) -> Iterator[RunningGateway]:
    with RunningGateway(database.url, sandbox.url, tmp_path / "log") as gateway:
        yield gateway


def _change(company: Company, name: str) -> None:
    create_unit(organization=company.organization, kind="agent", name=name, acting="test")


def _wait_for_loads(gateway: RunningGateway, loads: float) -> None:
    eventually(lambda: scrape(gateway)[LOADS] == loads, 5)


def test_a_change_is_followed_though_nobody_asks(gateway: RunningGateway) -> None:
    acme, other = make_company(gateway.url), make_company(gateway.url)
    assert [acme.chat().status_code, other.chat().status_code] == [200, 200]
    for name in ("Ben", "Cem", "Dot"):
        before = scrape(gateway)
        _change(acme, name)
        _wait_for_loads(gateway, before[LOADS] + 1)
        assert acme.chat().status_code == 200
        assert other.chat().status_code == 200
        after = scrape(gateway)
        assert after[RESERVES] - before[RESERVES] == 2, "no reserve was stale"
        assert after[LOADS] - before[LOADS] == 1


def test_an_organization_that_is_gone_is_let_go_of(gateway: RunningGateway, database: Database) -> None:
    acme = make_company(gateway.url)
    assert acme.chat().status_code == 200
    before = scrape(gateway)[LOADS]
    with database.connect() as connection:
        connection.execute("DELETE FROM budgets_governanceversion WHERE id = %s", [acme.organization.id])
    _wait_for_loads(gateway, before + 1)
    time.sleep(2.5)
    assert scrape(gateway)[LOADS] == before + 1, "once, not every second"


def test_with_more_organizations_than_are_asked_in_a_turn_each_has_its_turn(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules_watching, "MOST_ASKED", 2)
    monkeypatch.setattr(rules_watching, "MOST_FOLLOWED", 1)
    monkeypatch.setattr(rules_watching, "TURN_SECONDS", 0.01)
    companies = [make_company("") for _ in range(5)]

    async def play() -> None:
        store = RulesStore(database.url)
        for one in companies:
            assert await store.find(one.issued.record.key_id, "")
        database.connect().execute("UPDATE orgs_organization SET requires_cap = true")
        watch = RulesWatch(store)
        try:
            await asyncio.sleep(2)
            assert await store.moved(store.held()) == []
        finally:
            await watch.close()
            await store.close()

    asyncio.run(play())


def test_where_nothing_is_held_or_nothing_moves_nothing_is_loaded(gateway: RunningGateway, database: Database) -> None:
    asked = "SELECT query_start FROM pg_stat_activity WHERE application_name = 'spendra gateway tokens' "
    asked += "AND datname = current_database() AND query LIKE '%budgets_governanceversion%'"
    with database.connect() as watcher:
        time.sleep(2.5)
        assert watcher.execute(asked).fetchall() == [], "nothing is held"
        acme = make_company(gateway.url)
        assert acme.chat().status_code == 200
        before = scrape(gateway)[LOADS]
        first = eventually(lambda: watcher.execute(asked).fetchone(), 5)
        eventually(lambda: watcher.execute(asked).fetchone() not in (first, None), 10)
        assert scrape(gateway)[LOADS] == before
