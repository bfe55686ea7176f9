import shutil
from pathlib import Path

import pytest

from spendra.development.embedded_postgres import EmbeddedPostgres


@pytest.fixture(scope="session")
def stopped_server_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("postgres") / "prepared"
    with EmbeddedPostgres(folder, durable=False):
        return folder


@pytest.fixture
def prepared(stopped_server_folder: Path, tmp_path: Path) -> Path:
    """The data folder of a server that ran and was stopped, in a copy of this test's own."""
    return Path(shutil.copytree(stopped_server_folder, tmp_path / "postgres"))
