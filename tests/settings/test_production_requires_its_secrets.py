"""In production a role starts with every required name, or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from spendra.settings import environment

ROOT = Path(__file__).resolve().parents[2]
GIVEN = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "SPENDRA_ALLOWED_ORIGINS": "https://spendra.example.com",
    "SPENDRA_METRICS_BEARER_TOKEN": "a-token",
    "OPENAI_API_KEY": "sk-a-key",
    "SUPABASE_JWT_SECRET": "a-secret",
}


def check(**variables: str) -> subprocess.CompletedProcess[str]:
    """Loads the settings of production as a role does."""
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={"PATH": os.defpath, "SPENDRA_ENV": "production", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("missing", sorted(GIVEN))
def test_each_missing_name_alone_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for name, value in GIVEN.items():
        monkeypatch.delenv(f"{name}_FILE", raising=False)
        monkeypatch.setenv(name, "" if name == missing else value)
    monkeypatch.setenv("SPENDRA_ENV", "production")
    with pytest.raises(ImproperlyConfigured) as refused:
        environment.require_secrets()
    assert [name for name in GIVEN if name in str(refused.value)] == [missing]


def test_what_is_tested_here_is_what_is_required() -> None:
    assert set(GIVEN) == set(environment.REQUIRED_IN_PRODUCTION)


def test_all_missing_names_are_told_at_once_in_one_line() -> None:
    ended = check()
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert all(name in ended.stderr for name in GIVEN)


def test_no_deployment_but_development_starts_with_the_secret_that_everybody_can_read() -> None:
    ended = check(SPENDRA_ENV="staging")
    assert (ended.returncode, ended.stderr) == (
        1,
        "SPENDRA_ENV is staging and these are not set: DATABASE_URL, SUPABASE_JWT_SECRET. "
        "Set each one, or its <NAME>_FILE, in the Secret of the deployment.\n",
    )
    assert check(SPENDRA_ENV="staging", DATABASE_URL=GIVEN["DATABASE_URL"], SPENDRA_SECRET_KEY="own").returncode == 0
    assert check(SPENDRA_ENV="development").returncode == 0


@pytest.mark.parametrize("name", ["Production", "prod", "PROD"])
def test_what_was_meant_to_be_production_is_not_taken_for_less(name: str) -> None:
    ended = check(SPENDRA_ENV=name, **GIVEN)
    assert (ended.returncode, ended.stderr) == (
        1, f"SPENDRA_ENV is {name!r}: write production, or the name of another deployment.\n",
    )  # fmt: skip


def test_files_may_hold_them_all(tmp_path: Path) -> None:
    files = {}
    for name, value in GIVEN.items():
        (tmp_path / name).write_text(value + "\n")
        files[f"{name}_FILE"] = str(tmp_path / name)
    ended = check(**files)
    assert ended.returncode == 0, ended.stderr


def test_no_secret_is_shown_when_a_start_is_refused() -> None:
    ended = check(**{**GIVEN, "SPENDRA_ALLOWED_ORIGINS": "no-origin"})
    assert ended.returncode == 1
    assert ended.stderr == ("SPENDRA_ALLOWED_ORIGINS: 'no-origin' is not an origin like https://spendra.example.com\n")
