"""Rules that change faster than a request takes hold it up: they do not fail it."""

import threading
import time

import psycopg
import pytest

from tests.databases import Database
from tests.freshness.doors import Doors
from tests.freshness.test_changes_bind_amid_traffic import traffic
from tests.gateway.company import Company

SECONDS = 4
PER_SECOND = 40


@pytest.fixture
def psql(shared_database: Database) -> psycopg.Connection:
    with psycopg.connect(shared_database.url, autocommit=True) as connection:
        yield connection


def test_forty_changes_a_second_of_other_rules(company: Company, doors: Doors, psql: psycopg.Connection) -> None:
    other = company.another_key().record.id
    is_over = threading.Event()

    def change() -> None:
        began_at = time.monotonic()
        for number in range(SECONDS * PER_SECOND):
            is_over.wait(max(0.0, began_at + number / PER_SECOND - time.monotonic()))
            psql.execute("UPDATE keys_key SET max_reservation_nanos = %s WHERE id = %s", [number + 1, other])

    changer = threading.Thread(target=change)
    with traffic(doors, company.key) as seen:
        changer.start()
        changer.join()
    statuses = [status for _, _, status in seen.answers]
    assert len(statuses) > SECONDS * 4
    assert set(statuses) == {200}, f"{sum(status != 200 for status in statuses)} of {len(statuses)} failed"
