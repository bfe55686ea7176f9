"""The gateway's own fixtures, and Debian's programs around them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import Database
from tests.gateway.conftest import sandbox
from tests.peers.pooling import Pooler

__all__ = ["sandbox"]


@pytest.fixture
def pooler(database: Database, tmp_path: Path) -> Iterator[Pooler]:
    folder = tmp_path / "pgbouncer"
    folder.mkdir()
    with Pooler(database.url, folder) as pooler:
        yield pooler
