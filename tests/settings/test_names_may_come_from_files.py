"""<NAME>_FILE points at a file that holds the value."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from spendra.settings import environment

NAME = "SPENDRA_TRIED_HERE"


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    monkeypatch.delenv(f"{NAME}_FILE", raising=False)


def test_the_file_is_read_without_its_line_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the file\n")
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "secret"))
    assert environment.read(NAME) == "of the file"


def test_the_name_itself_goes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(NAME, "of the name")
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "not there"))
    assert environment.read(NAME) == "of the name"


def test_a_file_that_cannot_be_read_is_said_and_not_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "not there"))
    with pytest.raises(ImproperlyConfigured, match=f"{NAME}_FILE points at .*not there, which cannot be read"):
        environment.read(NAME, "a default")


def test_without_either_the_default_holds() -> None:
    assert environment.read(NAME, "a default") == "a default"


def test_an_empty_number_is_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "")
    assert environment.read_int(NAME, 5, lowest=1, highest=10) == 5


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "\N{ARABIC-INDIC DIGIT THREE}", "11", "many"])
def test_a_number_outside_its_range_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(NAME, text)
    with pytest.raises(ImproperlyConfigured, match=f"{NAME} must be a whole number from 1 to 10"):
        environment.read_int(NAME, 5, lowest=1, highest=10)
