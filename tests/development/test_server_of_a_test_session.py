"""What one session of tests migrated, the next one finds; what its tests made is gone."""

from pathlib import Path

import psycopg

from tests.databases import TEMPLATE
from tests.session_server import SessionServer


def names(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate").fetchall()
    return {name for (name,) in found} - {"postgres", "spendra"}


def test_a_template_is_kept_for_the_next_session_and_a_copy_of_it_is_not(tmp_path: Path) -> None:
    server = SessionServer(tmp_path)
    with psycopg.connect(server.start(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE}of_today")
        connection.execute("CREATE DATABASE test_of_a_killed_worker")
    server.stop()
    following = SessionServer(tmp_path)
    assert names(following.start()) == {f"{TEMPLATE}of_today"}
    following.stop()
