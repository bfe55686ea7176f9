"""What the connections of money rest on is theirs, whatever the customer's database has as its default."""

import asyncio

import pytest
from psycopg import sql

from apps.budgets.connecting import HotConnection
from tests.databases import Database

# Each with what goes wrong under a default of the database's own.
DEFAULTS_AND_OURS = {
    "synchronous_commit": ("off", "on"),  # a grant that was answered is lost when the server fails
    "lock_timeout": ("1min", "250ms"),  # one held row stops a whole line
    "statement_timeout": ("0", "2s"),  # the client gives up first, and the outcome is unknown
    "idle_in_transaction_session_timeout": ("0", "5s"),  # a gateway that stopped keeps its locks
    "default_transaction_isolation": ("serializable", "read committed"),  # what was read before a wait stays so
    "client_connection_check_interval": ("0", "1s"),  # a backend whose client has gone waits on for its lock
}


async def shown(url: str, setting: str) -> str | None:
    connection = HotConnection(url, name="test")
    try:
        return await connection.call(f"SHOW {setting}", ())
    finally:
        await connection.close()


@pytest.mark.parametrize(("setting", "default", "ours"), [(name, *both) for name, both in DEFAULTS_AND_OURS.items()])
def test_a_hot_connection_has_its_own_whatever_the_database_says(
    database: Database, setting: str, default: str, ours: str
) -> None:
    database.connect().execute(
        sql.SQL("ALTER DATABASE {} SET {} = {}").format(
            sql.Identifier(database.name), sql.Identifier(setting), sql.Literal(default)
        )
    )
    assert database.connect().execute(f"SHOW {setting}").fetchone() == (default,)
    assert asyncio.run(shown(database.url, setting)) == ours
