from uuid import UUID

from apps.budgets.queries import reservations_of
from tests.budgets import money
from tests.databases import Database


def test_reservations_come_by_page_newest_first_and_only_ones_own(database: Database) -> None:
    connection = database.connect()
    acme, globex = money.make_organization(), money.make_organization("globex")
    requests = [money.a_request(acme, money.tokens_of(connection, acme), []) for _ in range(5)]
    money.reserve(connection, *requests, money.a_request(globex, money.tokens_of(connection, globex), []))
    money.end(connection, money.an_ending(requests[0]), money.an_ending(requests[3]))
    ids = [UUID(request["id"]) for request in sorted(requests, key=lambda request: request["id"], reverse=True)]

    first = [row.id for row in reservations_of(acme, limit=2)]
    second = [row.id for row in reservations_of(acme, limit=9, before=first[-1])]
    assert first + second == ids
    still_open = {row.id for row in reservations_of(acme, is_open=True)}
    assert still_open == {UUID(requests[place]["id"]) for place in (1, 2, 4)}
