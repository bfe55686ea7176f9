"""What most tests of the money begin with: a database in which a gateway lives, and an organization."""

from typing import Any

import psycopg
import pytest

from apps.orgs.models import Organization
from tests.budgets import money
from tests.databases import Database


@pytest.fixture
def connection(database: Database) -> psycopg.Connection[Any]:
    connection = database.connect()
    money.beat(connection)
    return connection


@pytest.fixture
def acme(connection: psycopg.Connection[Any]) -> Organization:
    return money.make_organization()
