"""manage.py brings a Postgres in development only, and says expected failures in one sentence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def manage(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """manage.py of a checkout in `folder`, in an empty environment."""
    if not (folder / "manage.py").exists():
        shutil.copy(ROOT / "manage.py", folder)
        for name in ("apps", "spendra", "static", "templates"):
            (folder / name).symlink_to(ROOT / name)
    command = [sys.executable, "manage.py", *arguments]
    clean = {"PATH": os.defpath, **environment}
    return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)


def test_a_command_without_database_url_runs_on_the_embedded_postgres(tmp_path: Path) -> None:
    ended = manage(tmp_path, "showmigrations", "budgets")
    assert ended.returncode == 0, ended.stderr
    assert "[ ] 0001_initial" in ended.stdout
    assert (tmp_path / ".spendra" / "postgres" / "cluster").exists()
    assert not (tmp_path / ".spendra" / "postgres" / "cluster" / "postmaster.pid").exists()


def test_a_given_database_url_is_used_instead(tmp_path: Path) -> None:
    ended = manage(tmp_path, "showmigrations", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert "127.0.0.1" in ended.stderr
    assert ended.returncode != 0
    assert not (tmp_path / ".spendra").exists()


@pytest.mark.parametrize("arguments", [["help"], ["check"], ["migrate", "--help"], ["--version"], []])
def test_what_needs_no_database_starts_none(tmp_path: Path, arguments: list[str]) -> None:
    ended = manage(tmp_path, *arguments)
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / ".spendra").exists()


@pytest.mark.parametrize("role", ["gateway", "dashboard", "worker", "migrate"])
def test_production_starts_none_and_names_every_missing_secret(tmp_path: Path, role: str) -> None:
    ended = manage(tmp_path, role, SPENDRA_ENV="production", OPENAI_API_KEY="set")
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    for name in ("DATABASE_URL", "SPENDRA_ALLOWED_ORIGINS", "SPENDRA_METRICS_BEARER_TOKEN", "SUPABASE_JWT_SECRET"):
        assert name in ended.stderr
    assert "OPENAI_API_KEY" not in ended.stderr
    assert not (tmp_path / ".spendra").exists()


def test_an_unknown_command_exits_non_zero(tmp_path: Path) -> None:
    ended = manage(tmp_path, "gatway", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert ended.returncode == 1
    assert "Unknown command: 'gatway'" in ended.stderr


def test_a_folder_that_cannot_hold_the_database_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / ".spendra").write_text("in the way")
    ended = manage(tmp_path, "migrate")
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "cannot write to" in ended.stderr
