"""`demo --once` is a proof: where a request is not answered whole, or not settled as it must be, it is no success."""

from pathlib import Path

import pytest

from tests.databases import Database
from tests.demo.demos import run_demo
from tests.demo.faulty_provider import faulty_provider


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        (("no-usage",), "The provider did not say what the plain request used."),
        (("", "status=500"), "A governed request was not answered: "),
        (("model=of-tomorrow", ""), "The plain request was booked as charge, estimated, and not as final."),
    ],
)
def test_a_provider_that_answers_wrongly_is_no_success(
    database: Database, tmp_path: Path, faults: tuple[str, ...], reason: str
) -> None:
    with faulty_provider(*faults) as provider:
        named = {"OPENAI_API_KEY": "sk-faulty", "OPENAI_BASE_URL": f"{provider}/v1"}
        ended = run_demo(tmp_path / "demo", "--once", DATABASE_URL=database.url, **named)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"CommandError: {reason}")
    assert len(ended.stderr.splitlines()) == 1
    assert "Both were answered" not in ended.stdout
    assert not (tmp_path / "demo" / "demo.json").exists()
