"""A settle that Postgres does not take is counted each time, and is booked once it can be."""

import psycopg

from tests.databases import Database
from tests.gateway.company import make_company
from tests.gateway.running import RunningGateway
from tests.observability.scraping import scrape
from tests.roles.commands import eventually

NAME = "spendra_gateway_settle_failures_total"


def test_a_settle_that_fails_is_counted_until_it_is_taken(database: Database, own_gateway: RunningGateway) -> None:
    company = make_company(own_gateway.url)
    assert scrape(own_gateway)[NAME] == 0
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("ALTER FUNCTION budgets_settle_v2 RENAME TO budgets_settle_of_nobody")
        assert company.chat().status_code == 200
        eventually(lambda: scrape(own_gateway)[NAME] >= 2, 10)
        connection.execute("ALTER FUNCTION budgets_settle_of_nobody RENAME TO budgets_settle_v2")
    company.wait_for_ends(1)
    told = scrape(own_gateway)[NAME]
    assert company.chat().status_code == 200
    company.wait_for_ends(2)
    assert scrape(own_gateway)[NAME] == told
