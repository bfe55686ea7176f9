from pathlib import Path

import pytest

from apps.providers import credentials
from spendra.kernel.errors import Invalid, ProviderNotConfigured

SECRET = "sk-very-secret"


@pytest.mark.parametrize("reference", ["env:OPENAI_API_KEY", " env:A ", "file:/run/secrets/openai"])
def test_a_reference_is_kept_in_its_one_spelling(reference: str) -> None:
    assert credentials.check(reference) == reference.strip()


@pytest.mark.parametrize(
    "reference",
    [
        "",
        SECRET,
        "OPENAI_API_KEY",
        "env:",
        "env:lower",
        "env:A B",
        "env:A=B",
        "ENV:A",
        "file:",
        "file:relative",
        "file:/",
        "file:/a/../b",
        "file:/a//b",
        "file:/a/",
        "file:/a\0b",
        "file:/proc/self/environ",
        "file:/" + "a" * 400,
        "vault:secret",
    ],
)
def test_what_is_no_reference_is_refused(reference: str) -> None:
    with pytest.raises(Invalid) as refusal:
        credentials.check(reference)
    assert refusal.value.param == "credential_reference"


@pytest.mark.parametrize("name", ["DATABASE_URL", "SUPABASE_JWT_SECRET", "SPENDRA_SECRET_KEY", "PGPASSWORD"])
def test_our_own_secrets_are_never_sent_to_a_provider(name: str) -> None:
    with pytest.raises(Invalid, match="a secret of Spendra itself"):
        credentials.check(f"env:{name}")


def test_an_environment_variable_is_read_at_each_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_OPENAI_KEY", f"  {SECRET}\n")
    assert credentials.resolve("env:ACME_OPENAI_KEY") == SECRET
    monkeypatch.setenv("ACME_OPENAI_KEY", "rotated")
    assert credentials.resolve("env:ACME_OPENAI_KEY") == "rotated"


def test_an_environment_variable_may_name_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    monkeypatch.delenv("ACME_OPENAI_KEY", raising=False)
    monkeypatch.setenv("ACME_OPENAI_KEY_FILE", str(tmp_path / "secret"))
    assert credentials.resolve("env:ACME_OPENAI_KEY") == SECRET


def test_a_file_is_read_at_each_use(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    assert credentials.resolve(f"file:{path}") == SECRET
    path.write_text("rotated")
    assert credentials.resolve(f"file:{path}") == "rotated"


def test_a_secret_that_is_not_there_is_named_by_its_reference_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ACME_OPENAI_KEY", " ")
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe" + SECRET.encode())
    (tmp_path / "large").write_text(SECRET * 10_000)
    for reference in (
        "env:ACME_OPENAI_KEY",
        "env:NOT_SET_ANYWHERE",
        f"file:{tmp_path}/missing",
        f"file:{tmp_path}",
        f"file:{tmp_path}/empty",
        f"file:{tmp_path}/binary",
        f"file:{tmp_path}/large",
    ):
        with pytest.raises(ProviderNotConfigured) as refusal:
            credentials.resolve(reference)
        assert reference in refusal.value.message
        assert SECRET not in refusal.value.message
